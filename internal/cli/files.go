package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/internal/blob"
)

func (a *app) fileCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "file",
		Short: "Files for jobs, kept on file servers by their hash",
		Long: "Keeps files on file servers (Blossom), which every market relay brings along. A file is encrypted before it leaves, under a\n" +
			"key of its own that stands in its address after the #: who has the address can read the file, the server cannot.\n" +
			"Addresses of what was put are kept in files.jsonl in the data folder, so a file's name does, too.",
	}
	cmd.AddCommand(a.filePutCommand(), a.fileGetCommand(), a.fileListCommand(), a.fileRmCommand())
	return cmd
}

// fileFlags are the servers of a file command.
func fileFlags(cmd *cobra.Command) {
	k := settingOf("files.servers")
	cmd.Flags().StringSlice("server", nil, k.about)
	cmd.Flags().Lookup("server").Annotations = map[string][]string{"setting": {"files.servers"}}
}

// servers are the file servers: those of the settings, or those beside the relays.
func (a *app) servers() ([]string, error) {
	servers := a.settings.list("files.servers")
	if len(servers) == 0 {
		for _, relay := range a.settings.list("relays") {
			servers = append(servers, blob.ServerOf(relay))
		}
	}
	for _, s := range servers {
		if u, err := url.Parse(s); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, usage("files.servers: %q is no http:// or https:// address", s)
		}
	}
	if len(servers) == 0 {
		return nil, usage("files.servers: none is set, and no relay either")
	}
	return servers, nil
}

// fileClient moves files as this machine's user.
func (a *app) fileClient() (*blob.Client, []string, error) {
	servers, err := a.servers()
	if err != nil {
		return nil, nil, err
	}
	if err := a.settings.makeDataDir(); err != nil {
		return nil, nil, err
	}
	signer, err := keys(a.settings.path("files.key"))
	if err != nil {
		return nil, nil, err
	}
	return blob.NewClient(blob.ClientConfig{Signer: signer, Trusted: servers, Log: a.log}), servers, nil
}

func (a *app) filePutCommand() *cobra.Command {
	var clear bool
	var keep time.Duration
	var mime string
	cmd := &cobra.Command{
		Use:         "put FILE",
		Short:       "Put a file on a file server, encrypted; print its address",
		Long:        "Encrypts a file, uploads it to the first server that takes it and prints its address, which holds the key. An upload that\nis cut goes on where it stood.",
		Example:     "infernet file put report.pdf",
		Annotations: says("address, sha256, size, server"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, servers, err := a.fileClient()
			if err != nil {
				return err
			}
			defer client.Close()
			b, err := putFile(cmd.Context(), client, servers, args[0], mime, clear, keep)
			if err != nil {
				return err
			}
			if err := a.book().add(b, filepath.Base(args[0])); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"address": b.URI(), "sha256": b.Sum, "size": b.Size, "server": b.Servers[0]})
				return nil
			}
			fmt.Fprintln(a.Out, b.URI())
			return nil
		},
	}
	fileFlags(cmd)
	cmd.Flags().BoolVar(&clear, "clear", false, "do not encrypt: everybody who knows the hash can read it")
	cmd.Flags().DurationVar(&keep, "keep", 0, "how long it is wanted; as long as the server keeps files if unset")
	cmd.Flags().StringVar(&mime, "type", "", "its MIME type; guessed from the name if unset")
	return cmd
}

// putFile uploads a file of this machine.
func putFile(ctx context.Context, client *blob.Client, servers []string, path, mime string, clear bool, keep time.Duration) (b events.Blob, err error) {
	file, err := os.Open(path)
	if err != nil {
		return b, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return b, err
	}
	if !info.Mode().IsRegular() {
		return b, usage("%s is no file", path)
	}
	src := blob.Source{Data: file, Size: info.Size(), Mime: or(mime, blob.TypeByName(path))}
	if keep > 0 {
		src.Expires = time.Now().Add(keep)
	}
	if !clear {
		closed, err := os.CreateTemp("", "infernet-")
		if err != nil {
			return b, err
		}
		defer func() { err = errors.Join(err, closed.Close(), os.Remove(closed.Name())) }()
		if src.Key, err = blob.Encrypt(closed, file); err != nil {
			return b, err
		}
		if info, err = closed.Stat(); err != nil {
			return b, err
		}
		src.Data, src.Size = closed, info.Size()
	}
	return client.Put(ctx, servers, src)
}

func (a *app) fileGetCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:         "get FILE",
		Short:       "Get a file, decrypted, and checked against its hash",
		Long:        "FILE is an address (blossom:… or https://server/<sha256>), a SHA-256, or the name of a file that was put here.",
		Example:     "infernet file get report.pdf --out copy.pdf",
		Annotations: says("sha256, bytes, file"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.findFile(args[0])
			if err != nil {
				return err
			}
			client, servers, err := a.fileClient()
			if err != nil {
				return err
			}
			defer client.Close()
			return a.getFile(cmd.Context(), client, servers, b, out)
		},
	}
	fileFlags(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", "", "file to write; stdout if unset")
	return cmd
}

// getFile writes a file once all of it is here and right: what is damaged is never seen.
func (a *app) getFile(ctx context.Context, client *blob.Client, servers []string, b events.Blob, out string) error {
	if out == "" && a.json {
		return withHint(usage("--json needs --out: the file itself goes to stdout"), "%s", again(a.args, "--out", "FILE"))
	}
	temp, err := os.CreateTemp(filepath.Dir(or(out, filepath.Join(os.TempDir(), "x"))), ".infernet-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if err := client.Get(ctx, b, temp, servers...); err != nil {
		return err
	}
	if out == "" {
		if _, err := temp.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(a.Out, temp)
		return err
	}
	info, err := temp.Stat()
	if err := errors.Join(err, temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), out); err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"sha256": b.Sum, "bytes": info.Size(), "file": out})
		return nil
	}
	fmt.Fprintln(a.Out, out)
	return nil
}

// findFile reads what names a file.
func (a *app) findFile(name string) (events.Blob, error) {
	if strings.HasPrefix(name, "blossom:") {
		b, err := events.ParseBlob(name)
		if err != nil {
			return b, usage("%w", err)
		}
		return b, nil
	}
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		b, err := events.ParseBlob("blossom:" + strings.TrimSuffix(strings.TrimPrefix(u.Path, "/"), ".") + ".bin")
		if err != nil {
			return b, usage("%s ends in no SHA-256", name)
		}
		b.Servers = []string{u.Scheme + "://" + u.Host}
		return b, nil
	}
	b, err := a.book().find(name)
	if err != nil || b.Sum != "" {
		return b, err
	}
	if b, err := events.ParseBlob("blossom:" + name + ".bin"); err == nil {
		return b, nil
	}
	return b, withHint(usage("%q is no address, no SHA-256, and no file that was put here", name), "infernet file list")
}

func (a *app) fileListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:         "list",
		Short:       "The files that this machine keeps on its file servers",
		Example:     "infernet file list",
		Annotations: says("sha256, name, size, type, uploaded, expires, server"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, servers, err := a.fileClient()
			if err != nil {
				return err
			}
			defer client.Close()
			names, err := a.book().names()
			if err != nil {
				return err
			}
			type row struct {
				*blob.Descriptor
				server string
			}
			var rows []row
			for _, server := range servers {
				some, err := client.List(cmd.Context(), server)
				if err != nil {
					return err
				}
				for _, d := range some {
					rows = append(rows, row{d, server})
				}
			}
			if a.json {
				for _, r := range rows {
					a.object(a.Out, map[string]any{"sha256": r.SHA256, "name": names[r.SHA256], "size": r.Size, "type": r.Type, "uploaded": r.Uploaded, "expires": r.Expires, "server": r.server})
				}
				return nil
			}
			return a.columns("SHA256\tNAME\tBYTES\tUNTIL\tSERVER", func(w io.Writer) {
				for _, r := range rows {
					until := "-"
					if r.Expires > 0 {
						until = time.Unix(r.Expires, 0).UTC().Format("2006-01-02 15:04")
					}
					fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", r.SHA256, or(names[r.SHA256], "-"), r.Size, until, r.server)
				}
			})
		},
	}
	fileFlags(cmd)
	return cmd
}

func (a *app) fileRmCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:         "rm FILE",
		Short:       "Remove a file from the file servers",
		Long:        "FILE is an address, a SHA-256, or the name of a file that was put here. What others put there, too, stays.",
		Example:     "infernet file rm report.pdf",
		Annotations: says("sha256, server"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.findFile(args[0])
			if err != nil {
				return err
			}
			client, servers, err := a.fileClient()
			if err != nil {
				return err
			}
			defer client.Close()
			var failed error
			removed := 0
			for _, server := range servers {
				if err := client.Delete(cmd.Context(), server, b.Sum); err != nil {
					failed = err
					continue
				}
				removed++
				if a.json {
					a.object(a.Out, map[string]any{"sha256": b.Sum, "server": server})
				} else {
					fmt.Fprintf(a.Out, "%s removed from %s\n", b.Sum, server)
				}
			}
			if removed == 0 {
				return failed
			}
			return nil
		},
	}
	fileFlags(cmd)
	return cmd
}
