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

// ErrNoServer says that llama-server is not installed.
var ErrNoServer = errors.New("no llama-server")

// ModelError says what is wrong with a model's file.
type ModelError struct{ Path, Why string }

func (e *ModelError) Error() string { return e.Path + ": " + e.Why }

// find gives the llama-server to start: the one asked for, the one in PATH, or the one in the project's cache.
func find(asked string) (string, error) {
	if asked != "" {
		path, err := exec.LookPath(asked)
		if err != nil {
			return "", fmt.Errorf("%w at %s, which bin= names: %w", ErrNoServer, asked, err)
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
	return "", fmt.Errorf("%w in PATH, nor at %s", ErrNoServer, cached)
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
		return &ModelError{path, "there is no such model"}
	}
	if err != nil {
		return fmt.Errorf("open the model: %w", err)
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "GGUF" {
		return &ModelError{path, "this is no GGUF file"}
	}
	return nil
}
