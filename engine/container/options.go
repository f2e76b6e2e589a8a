package container

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"
)

// options are what the URL says; Open documents them.
type options struct {
	images string
	slots  int
	bwrap  string
	work   string
	limits
}

func parse(u *url.URL) (options, error) {
	o := options{
		images: u.Path, slots: 1,
		limits: limits{time: 10 * time.Minute, memory: 1024 << 20, disk: 1024 << 20, tmp: 64 << 20, procs: 64, cpus: max(1, runtime.NumCPU()-1)},
	}
	if u.Host != "" || !filepath.IsAbs(o.images) {
		return o, fmt.Errorf("engine %s: want the folder of images, as container:///var/lib/infernet/images", u)
	}
	count := func(value string, most int64) (int64, error) {
		n, err := strconv.ParseInt(value, 10, 64)
		if err == nil && (n < 1 || n > most) {
			err = fmt.Errorf("want 1 to %d", most)
		}
		return n, err
	}
	for name, values := range u.Query() {
		value := values[0]
		var n int64
		var err error
		switch name {
		case "slots":
			n, err = count(value, 256)
			o.slots = int(n)
		case "cpus":
			n, err = count(value, 4096)
			o.cpus = min(int(n), runtime.NumCPU())
		case "memory":
			n, err = count(value, 1<<24)
			o.memory = n << 20
		case "disk":
			n, err = count(value, 1<<24)
			o.disk = n << 20
		case "tmp":
			n, err = count(value, 1<<20)
			o.tmp = n << 20
		case "procs":
			n, err = count(value, 100_000)
			o.procs = int(n)
		case "time":
			if o.time, err = time.ParseDuration(value); err == nil && (o.time < time.Second || o.time > 24*time.Hour) {
				err = fmt.Errorf("want 1s to 24h")
			}
		case "bwrap":
			o.bwrap = value
		case "work":
			o.work = value
		default:
			err = fmt.Errorf("no such option")
		}
		if err != nil {
			return o, fmt.Errorf("engine %s: option %s=%s: %w", u, name, value, err)
		}
	}
	return o, nil
}

// workDir is where images are unpacked and programs work. Of root's cache folder other users, as whom programs run, see nothing.
func workDir(asked string) (string, error) {
	if asked != "" {
		return filepath.Abs(asked)
	}
	if os.Geteuid() == 0 {
		return "/var/cache/infernet/container", nil
	}
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "infernet", "container"), err
}
