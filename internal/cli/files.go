package cli

import (
	"net/url"
	"strings"

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
	cmd.AddCommand(a.filePutCommand(), a.fileGetCommand(), a.fileListCommand(), a.fileRmCommand(), a.fileReportCommand())
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

func (a *app) filePutCommand() *cobra.Command {
	var how putting
	cmd := &cobra.Command{
		Use:   "put FILE",
		Short: "Put a file on a file server, encrypted; print its address",
		Long: "Encrypts a file, uploads it to the first server that takes it and prints its address, which holds the key. An upload that\nis cut goes on where it stood. " +
			"A server that wants to be paid is paid from the wallet, up to --max-cost.",
		Example:     "infernet file put report.pdf",
		Annotations: says("address, sha256, size, server, paid_msat"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if how.maxCost < 0 || how.maxCost > int64(events.MaxMsat/events.Sat) {
				return usage("--max-cost %d: no number of satoshi", how.maxCost)
			}
			return a.moving(func(m mover) error { return a.putFile(cmd.Context(), m, args[0], how) })
		},
	}
	fileFlags(cmd)
	cmd.Flags().BoolVar(&how.clear, "clear", false, "do not encrypt: everybody who knows the hash can read it")
	cmd.Flags().DurationVar(&how.keep, "keep", 0, "how long it is wanted; as long as the server keeps files if unset")
	cmd.Flags().StringVar(&how.mime, "type", "", "its MIME type; guessed from the name if unset")
	cmd.Flags().Int64Var(&how.maxCost, "max-cost", 0, "most satoshi to pay a server that asks for it")
	return cmd
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
			return a.movingOne(args[0], func(m mover, b events.Blob) error { return a.getFile(cmd.Context(), m, b, out) })
		},
	}
	fileFlags(cmd)
	cmd.Flags().StringVarP(&out, "out", "o", "", "file to write; stdout if unset")
	return cmd
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
			return a.moving(func(m mover) error { return a.listFiles(cmd.Context(), m) })
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
			return a.movingOne(args[0], func(m mover, b events.Blob) error { return a.removeFile(cmd.Context(), m, b) })
		},
	}
	fileFlags(cmd)
	return cmd
}
