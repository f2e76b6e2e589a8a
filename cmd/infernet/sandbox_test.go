package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// sandbox finds bubblewrap; "" where there is none that works.
var sandbox = sync.OnceValue(func() string {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		dir, _ := os.UserCacheDir()
		if cache := os.Getenv("INFERNET_CACHE"); cache != "" {
			dir = cache
		} else {
			dir = filepath.Join(dir, "infernet")
		}
		bwrap = filepath.Join(dir, "bwrap", "usr", "bin", "bwrap")
	}
	if exec.Command(bwrap, "--unshare-all", "--ro-bind", "/", "/", "true").Run() != nil {
		return ""
	}
	return bwrap
})

// condition says what scripts may ask of the machine: [bwrap].
func condition(name string) (bool, error) {
	if name == "bwrap" {
		return sandbox() != "", nil
	}
	return false, fmt.Errorf("no condition %q", name)
}
