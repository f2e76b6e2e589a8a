package container

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"infernet/engine"
)

// maxFiles is how many files one result has at most; provider bounds them, too.
const maxFiles = 32

// room is the folder of one program: its inputs and its outputs. Its outside belongs to the node, out to the program.
type room struct {
	dir string
	uid int // of the program; -1: the node's own
}

func (r *room) in() string  { return filepath.Join(r.dir, "in") }
func (r *room) out() string { return filepath.Join(r.dir, "out") }

// newRoom makes a room in a folder.
func newRoom(work string, uid int) (*room, error) {
	dir, err := os.MkdirTemp(work, "job-")
	if err != nil {
		return nil, err
	}
	r := &room{dir, uid}
	err = errors.Join(os.Chmod(dir, 0o711), os.Mkdir(r.in(), 0o755), os.Mkdir(r.out(), 0o700))
	if err == nil && uid >= 0 {
		err = os.Chown(r.out(), uid, uid)
	}
	if err != nil {
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}

// fill writes the inputs down, as 0, 1 and so on.
func (r *room) fill(inputs []engine.Input) error {
	for i, in := range inputs {
		f, err := os.OpenFile(filepath.Join(r.in(), fmt.Sprint(i)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if in.File != nil {
			_, err = io.Copy(f, io.NewSectionReader(in.File, 0, 1<<62))
		} else {
			_, err = f.WriteString(in.Text)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// collect copies the files that the program left, and that are wanted, into the job's folder. Only what is a file and lies in
// the program's folder is looked at: whatever a link points to is the machine's.
func (r *room) collect(to string, globs []string, said *Result) (files []engine.File, err error) {
	if to == "" {
		return nil, nil
	}
	if err := openAll(r.out()); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(r.out())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !wanted(globs, name) {
			return err
		}
		shown := strings.ToValidUTF8(name, "\uFFFD")
		if len(files) >= maxFiles {
			if len(said.LeftOut) < maxFiles {
				said.LeftOut = append(said.LeftOut, shown)
			}
			return nil
		}
		f, err := r.copyOut(root, name, filepath.Join(to, fmt.Sprintf("out-%d", len(files))))
		if err != nil {
			return err
		}
		if f == nil {
			said.LeftOut = append(said.LeftOut, shown)
			return nil
		}
		files, said.Files = append(files, *f), append(said.Files, shown)
		return nil
	})
	return files, err
}

func wanted(globs []string, name string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
		whole, _ := path.Match(glob, name) // checked
		last, _ := path.Match(glob, path.Base(name))
		return whole || last
	})
}

// copyOut copies a file; nil if there is nothing in it.
func (r *room) copyOut(root *os.Root, name, to string) (*engine.File, error) {
	in, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	head := make([]byte, 512)
	n, err := io.ReadFull(in, head)
	if n == 0 && errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(out, io.NewSectionReader(in, 0, 1<<62))
	kind, _, _ := strings.Cut(http.DetectContentType(head[:n]), ";")
	return &engine.File{Path: to, Mime: kind}, errors.Join(err, out.Close())
}

// size is what a program has put into its folder: bytes on the disk, and how many files.
func (r *room) size() (bytes, count int64) {
	filepath.WalkDir(r.out(), func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is being changed
		}
		count++
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			bytes += onDisk(info)
		}
		return nil
	})
	return bytes, count
}

func (r *room) remove() error { return removeAll(r.dir) }

// openAll lets the node itself into folders that a program has shut.
func openAll(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			if err != nil { // it could not be read: walk it again once it can
				if os.Chmod(name, 0o700) != nil {
					return err
				}
				return errors.Join(openAll(name), fs.SkipDir)
			}
			return nil
		}
		return err
	})
}

func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	if err := openAll(dir); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
