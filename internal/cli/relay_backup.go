package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/relay"
)

func (a *app) relayBackupCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up what the relay stores, also while it runs",
		Long: "Writes a tar file; - is stdout. FILE may be a folder that is there, or end in /: then only what is new since the last backup in\n" +
			"it is copied. A backup holds everything up to one moment, and the operator's bans; what comes meanwhile is in the next one.\n" +
			"It is read again as it is written, and there under its name only once it is whole.\n\n" +
			"The relay is the one of the data folder, running or not; with --relay one elsewhere whose relay.admins names your operator key.",
		Example:     "infernet relay backup relay.tar\ninfernet relay backup backups/",
		Annotations: says("backup, events, bytes, files, new (bytes that were copied)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.operating(cmd.Context(), func(o operator, _ string) error { return a.backUp(cmd.Context(), o, args[0]) })
		},
	}
}

func (a *app) backUp(ctx context.Context, o operator, to string) error {
	var m relay.Manifest
	var copied int64
	var err error
	if info, wrong := os.Stat(to); strings.HasSuffix(to, "/") || wrong == nil && info.IsDir() {
		m, copied, err = backUpFolder(ctx, o, to)
	} else {
		m, copied, err = a.backUpFile(ctx, o, to)
	}
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	var bytes int64
	for _, f := range m.Files {
		bytes += f.Size
	}
	if a.json {
		out := a.Out
		if to == "-" { // where the backup is
			out = a.Err
		}
		a.object(out, map[string]any{"backup": to, "events": m.Events, "bytes": bytes, "files": len(m.Files), "new": copied})
		return nil
	}
	a.tell("backup ", "%d events, %s (%s new) in %s", m.Events, byteSize(bytes), byteSize(copied), to)
	return nil
}

// received gives what a relay sends as a stream that can be read.
func received(ctx context.Context, o operator, had relay.Have) *io.PipeReader {
	r, w := io.Pipe()
	go func() { w.CloseWithError(o.Backup(ctx, w, had)) }()
	return r
}

func (a *app) backUpFile(ctx context.Context, o operator, to string) (m relay.Manifest, copied int64, err error) {
	out, end := a.Out, func(error) error { return nil }
	if to != "-" {
		f, err := os.OpenFile(to+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return m, 0, err
		}
		out = f
		end = func(err error) error {
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				os.Remove(to + ".part")
				return err
			}
			return os.Rename(to+".part", to)
		}
	}
	from := received(ctx, o, relay.Have{})
	defer from.Close()
	m, err = relay.Unpack(io.TeeReader(from, out), func(string, io.Reader) error { return nil })
	for _, f := range m.Files {
		copied += f.Size
	}
	return m, copied, end(err)
}

// backUpFolder brings a backup that is a folder up to date: first what is new, then the manifest, then what is no longer
// wanted goes. Cut off anywhere, the folder is the backup that it was.
func backUpFolder(ctx context.Context, o operator, to string) (m relay.Manifest, copied int64, err error) {
	if err := os.MkdirAll(filepath.Join(to, "events"), 0o700); err != nil {
		return m, 0, err
	}
	before, err := relay.ReadManifest(to)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, 0, withHint(err, "infernet relay backup %s  # another folder", quoted(strings.TrimSuffix(to, "/")+"-2/"))
	}
	had := relay.Have{Store: before.Store}
	for _, f := range before.Files {
		if info, err := os.Stat(filepath.Join(to, f.Name)); err == nil && info.Size() == f.Size {
			had.Files = append(had.Files, f)
		}
	}
	from := received(ctx, o, had)
	defer from.Close()
	m, err = relay.Unpack(from, func(name string, body io.Reader) error {
		path := filepath.Join(to, name)
		if err := os.Remove(path + ".part"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_, err := relay.WriteFile(path+".part", body)
		return err
	})
	if err != nil {
		return m, 0, err
	}
	wanted := map[string]bool{}
	for i, f := range m.Files {
		wanted[filepath.Base(f.Name)] = true
		if f.SHA256 != "" {
			copied += f.Size
			if err := os.Rename(filepath.Join(to, f.Name+".part"), filepath.Join(to, f.Name)); err != nil {
				return m, 0, err
			}
			continue
		}
		for _, old := range before.Files {
			if old.Name == f.Name {
				m.Files[i].SHA256 = old.SHA256
			}
		}
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, 0, err
	}
	manifest := filepath.Join(to, relay.ManifestName)
	os.Remove(manifest + ".part")
	if _, err := relay.WriteFile(manifest+".part", strings.NewReader(string(body)+"\n")); err != nil {
		return m, 0, err
	}
	if err := os.Rename(manifest+".part", manifest); err != nil {
		return m, 0, err
	}
	old, err := os.ReadDir(filepath.Join(to, "events"))
	for _, f := range old {
		if !wanted[f.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(to, "events", f.Name())))
		}
	}
	return m, copied, err
}

// byteSize is a number of bytes as people read it.
func byteSize(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func (a *app) relayRestoreCommand() *cobra.Command {
	var replace, merge bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore a backup; into a relay that runs, what it misses",
		Long: "FILE is a tar file or a folder of 'infernet relay backup'. It is read from end to end before anything is changed.\n\n" +
			"A relay that runs, here or at --relay, is given what it misses: each event is verified, and one that its author has deleted\n" +
			"since stays deleted. Where nothing is stored, the backup is put in place as it was. Where something is, say which:\n" +
			"--merge adds what is missing, --replace puts what is there aside, into a folder beside it, and the bans of the backup hold.",
		Example:     "infernet relay restore relay.tar\ninfernet relay restore backups/ --replace",
		Annotations: says("restored (replaced or merged), events, before; merged: lines, taken, had, refused, first"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if replace && merge {
				return usage("--replace and --merge: one of them")
			}
			return a.restore(cmd.Context(), args[0], replace, merge)
		},
	}
	cmd.Flags().BoolVar(&replace, "replace", false, "put what is stored aside, and the backup in its place; the relay must not run")
	cmd.Flags().BoolVar(&merge, "merge", false, "add what is missing to what is stored")
	return cmd
}

func (a *app) restore(ctx context.Context, from string, replace, merge bool) error {
	if _, err := os.Stat(from); err != nil {
		return usage("%w", err)
	}
	dir := a.settings.path("relay")
	elsewhere := a.settings.source["relays"] == "flag"
	if !elsewhere {
		unlock, err := a.settings.lock("relay")
		var held *heldError
		switch {
		case errors.As(err, &held) && replace:
			return withHint(fmt.Errorf("%w; --replace is for one that does not", err), "%s", without(a.args, "--replace"))
		case errors.As(err, &held):
			elsewhere = true
		case err != nil:
			return err
		case !relay.Stores(dir) && !merge || replace:
			defer unlock()
			return a.restoreInPlace(from, dir)
		case !merge:
			unlock()
			return withHint(fmt.Errorf("events are stored in %s", dir), "%s", remark(line(append(slices.Clone(a.args), "--merge")), "or --replace: what is there is kept aside"))
		default:
			unlock()
		}
	}
	if replace {
		return usage("--replace is for the relay of the data folder; one elsewhere is given what it misses")
	}
	return a.restoreMissing(ctx, from)
}

// restoreInPlace puts a backup in the place of what is stored.
func (a *app) restoreInPlace(from, dir string) error {
	var m relay.Manifest
	before, err := relay.Restore(dir, func(folder string) (err error) {
		m, err = unpackTo(from, folder)
		return err
	}, a.log)
	if err != nil {
		return fmt.Errorf("restore %s: %w; nothing was changed", from, err)
	}
	if a.json {
		a.object(a.Out, map[string]any{"restored": "replaced", "events": m.Events, "before": before})
		return nil
	}
	a.tell("restore", "%d events, as of %s", m.Events, minute(time.Unix(m.Made, 0)))
	if before != "" {
		a.tell("before ", "%s; remove it once all is well", before)
	}
	return nil
}

// unpackTo puts the files of a backup into a folder.
func unpackTo(from, folder string) (m relay.Manifest, err error) {
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		return relay.CopyFolder(from, folder)
	}
	f, err := os.Open(from)
	if err != nil {
		return m, err
	}
	defer f.Close()
	return relay.Unpack(f, func(name string, body io.Reader) error {
		_, err := relay.WriteFile(filepath.Join(folder, filepath.Base(name)), body)
		return err
	})
}

// restoreMissing gives a relay what it misses of a backup.
func (a *app) restoreMissing(ctx context.Context, from string) error {
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(a.settings.text("data_dir"), "restore-*.part")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if _, err := unpackTo(from, folder); err != nil {
		return fmt.Errorf("restore %s: %w; nothing was changed", from, err)
	}
	return a.operating(ctx, func(o operator, _ string) error {
		in, out := io.Pipe()
		defer in.Close()
		go func() {
			out.CloseWithError(relay.EventsIn(ctx, folder, func(raw []byte) error {
				_, err := out.Write(append(slices.Clip(raw), '\n'))
				return err
			}))
		}()
		all, err := a.importAll(ctx, o, in, nil)
		if err != nil {
			return fmt.Errorf("restore %s: %w", from, err)
		}
		return a.tellImported(all, map[string]any{"restored": "merged", "events": all.Taken})
	})
}
