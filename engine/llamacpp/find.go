package llamacpp

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// find gives the llama-server to start: the one asked for, the one in PATH, or the one in the project's cache.
func find(asked string) (string, error) {
	if asked != "" {
		path, err := exec.LookPath(asked)
		if err != nil {
			return "", fmt.Errorf("llama-server at %s: %w; hint: scripts/get-llama.sh, and leave bin= out", asked, err)
		}
		return filepath.Abs(path)
	}
	if path, err := exec.LookPath("llama-server"); err == nil {
		return filepath.Abs(path)
	}
	cached := filepath.Join(cacheDir(), "llama", "bin", "llama-server")
	if path, err := exec.LookPath(cached); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("no llama-server in PATH, nor at %s; hint: scripts/get-llama.sh", cached)
}

// cacheDir is the project's cache: $INFERNET_CACHE, else infernet in the user's cache folder. The scripts use the same.
func cacheDir() string {
	if dir := os.Getenv("INFERNET_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "infernet")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		home = os.TempDir()
	}
	return filepath.Join(home, ".cache", "infernet")
}

// checkModel says what is wrong with a model's file before a server is started with it.
func checkModel(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no model at %s; hint: scripts/get-model.sh %s", path, filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("open the model: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "GGUF" {
		return fmt.Errorf("%s is no GGUF file; hint: scripts/get-model.sh", path)
	}
	return nil
}
