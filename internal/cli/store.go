package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"infernet/internal/store"
	"infernet/internal/store/pbstore"
)

func (a *app) storeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "store",
		Short: "The history of jobs, settings and notices: copy it, put a copy in its place",
		Long: "What people look at is kept in the data folder under store/, by 'infernet provide' or 'infernet up' while they run. It holds no\n" +
			"secrets, and it can be deleted: it is made anew from the ledgers and notices.db, which are what must not be lost.",
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "backup FILE", Short: "Copy the store into a zip file, also while it is in use", Example: "infernet store backup history.zip",
			Annotations: says("file, bytes"), Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return a.storeBackup(cmd.Context(), args[0]) },
		},
		&cobra.Command{
			Use: "restore FILE", Short: "Put a copy in the store's place; what is newer comes from the ledgers", Example: "infernet store restore history.zip",
			Annotations: says("file"), Args: cobra.ExactArgs(1),
			RunE: func(_ *cobra.Command, args []string) error { return a.storeRestore(args[0]) },
		},
	)
	return cmd
}

// storeBackup has the owner copy the store, or owns it for as long as that takes.
func (a *app) storeBackup(ctx context.Context, path string) error {
	var from store.Backuper
	switch c, err := store.Dial(ctx, a.settings.path("store")); {
	case err == nil:
		defer c.Close()
		from = c
	default:
		if err := a.settings.makeDataDir(); err != nil {
			return err
		}
		signer, done, err := a.signer(ctx, a.settings.path("node.key"))
		if err != nil {
			return err
		}
		defer done()
		o, err := store.Own(ctx, a.storeConfig(signer, nil))
		if err != nil {
			return err
		}
		defer o.Close()
		from = o
	}
	f, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	out := &counting{to: f}
	if err := errors.Join(from.Backup(ctx, out), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"file": path, "bytes": out.n})
		return nil
	}
	fmt.Fprintf(a.Out, "%s, %d bytes\n", path, out.n)
	return nil
}

// counting counts what is written.
type counting struct {
	to io.Writer
	n  int64
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.to.Write(b)
	c.n += int64(n)
	return n, err
}

func (a *app) storeRestore(path string) error {
	dir := a.settings.path("store")
	unlock, err := store.Lock(dir)
	if errors.Is(err, store.ErrOwned) {
		return withHint(err, "infernet store restore %s  # once 'infernet provide' or 'infernet up' has ended", quoted(path))
	}
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if err := pbstore.Restore(store.DataDir(dir), path); err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"file": path})
		return nil
	}
	fmt.Fprintf(a.Out, "restored from %s\n", path)
	return nil
}
