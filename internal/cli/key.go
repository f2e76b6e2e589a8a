package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/internal/bunker"
)

func (a *app) keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "The public keys of this machine, and the files that hold their secrets",
		Long: "Shows the node's public key, and makes it if there is none; then those of the play bank, of its accounts and of your files,\n" +
			"as far as there are any. Secrets stay in their files. Jobs are bought with a fresh key each, kept in the ledger, unless run.key names one.\n\n" +
			"A key file holds one line: a secret key in hex or as nsec, the same encrypted with a password (ncryptsec, NIP-49), or a\n" +
			"bunker:// address (NIP-46) of a remote signer that keeps the key on another machine. A password is asked for at the terminal,\n" +
			"or read from --password-file; it is never an argument.",
		Example:     "infernet key",
		Annotations: says("role, key, npub, file, form (plain, encrypted, bunker)"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.settings.makeDataDir(); err != nil {
				return err
			}
			path := a.settings.path("node.key")
			s, done, err := a.signer(cmd.Context(), path)
			if err != nil {
				return err
			}
			defer done()
			line, err := readSecret(path)
			if err != nil {
				return err
			}
			if err := a.showKey(s.PublicKey(), path, keyForm(line)); err != nil {
				return err
			}
			return a.showPlayKeys()
		},
	}
	cmd.AddCommand(a.keyEncryptCommand(), a.keyDecryptCommand(), a.keyImportCommand())
	return cmd
}

// showKey shows a public key.
func (a *app) showKey(key events.PubKey, path, form string) error {
	npub, err := nip19.EncodePublicKey(string(key))
	if err != nil {
		return err
	}
	role := or(keyRoles[filepath.Base(path)], "node")
	if a.json {
		a.object(a.Out, map[string]any{"role": role, "key": key, "npub": npub, "file": path, "form": form})
		return nil
	}
	fmt.Fprintf(a.Out, "%s\n  key   %s\n  npub  %s\n  file  %s\n", role, key, npub, path)
	return nil
}

// keyRoles are whose keys are kept beside the node's, by their files.
var keyRoles = map[string]string{
	"bank.key": "bank", "node.wallet.key": "node's wallet", "customer.wallet.key": "your wallet", "files.key": "your files", "page.key": "your page",
	operatorKey: "your relays' operator",
}

// showPlayKeys shows those keys, as far as they are there.
func (a *app) showPlayKeys() error {
	for _, file := range slices.Sorted(maps.Keys(keyRoles)) {
		path := a.settings.path(file)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		k, err := keys(path)
		if err != nil {
			return err
		}
		if err := a.showKey(k.PublicKey(), path, plainKey); err != nil {
			return err
		}
	}
	return nil
}

// keyFile is the file that a command is about: the node's, if none is named.
func (a *app) keyFile(args []string) (path, line string, err error) {
	path = a.settings.path("node.key")
	if len(args) > 0 {
		path = args[0]
	}
	line, err = readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = withHint(usage("there is no key file %s", path), "infernet key  # makes one")
	}
	return path, line, err
}

func (a *app) keyEncryptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "encrypt [FILE]",
		Short: "Encrypt the node's key file with a password (NIP-49)",
		Long: "Replaces the key in the file by the same key, encrypted. From then on the password is asked for at the terminal when a node\n" +
			"starts, or read from --password-file. Whoever loses it loses the key.",
		Example:     "infernet key encrypt",
		Annotations: says("role, key, npub, file, form (plain, encrypted, bunker)"),
		Args:        cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, line, err := a.keyFile(args)
			if err != nil {
				return err
			}
			if form := keyForm(line); form != plainKey {
				return withHint(usage("%s is %s already", path, map[string]string{encryptedKey: "encrypted", bunkerKey: "at a bunker"}[form]), "infernet key decrypt")
			}
			k, err := a.unlock(cmd.Context(), path, line)
			if err != nil {
				return err
			}
			password, err := a.password(cmd.Context(), "new password for "+path, true)
			if err != nil {
				return err
			}
			if line, err = encryptKey(k.Secret(), password); err != nil {
				return err
			}
			if err := replaceSecret(path, line); err != nil {
				return err
			}
			return a.showKey(k.PublicKey(), path, encryptedKey)
		},
	}
}

func (a *app) keyDecryptCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "decrypt [FILE]",
		Short:       "Put the node's key back into its file in clear",
		Long:        "Replaces the encrypted key in the file by the same key in clear, readable by its owner only.",
		Example:     "infernet key decrypt",
		Annotations: says("role, key, npub, file, form (plain, encrypted, bunker)"),
		Args:        cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, line, err := a.keyFile(args)
			if err != nil {
				return err
			}
			if keyForm(line) != encryptedKey {
				return withHint(usage("%s is not encrypted", path), "infernet key encrypt")
			}
			k, err := a.unlock(cmd.Context(), path, line)
			if err != nil {
				return err
			}
			if err := replaceSecret(path, k.Secret()); err != nil {
				return err
			}
			return a.showKey(k.PublicKey(), path, plainKey)
		},
	}
}

// importable is a line as a key file holds it, or why it is none.
func importable(line string) (string, error) {
	line = strings.TrimSpace(line)
	switch form := keyForm(line); {
	case line == "":
		return "", errors.New("no key came on stdin")
	case strings.HasPrefix(line, "npub1"):
		return "", errors.New("an npub is a public key; wanted is the secret one, nsec1…")
	case form == bunkerKey:
		_, _, _, err := bunker.Parse(line)
		return line, err
	case form == encryptedKey && len(line) != 162:
		return "", errors.New("what came on stdin is no whole ncryptsec (NIP-49)")
	case form == encryptedKey:
		return line, nil
	case strings.HasPrefix(line, "nsec1"):
		if _, _, err := nip19.Decode(line); err != nil {
			return "", errors.New("what came on stdin is no whole nsec (NIP-19)")
		}
		return line, nil
	}
	line = strings.ToLower(line)
	if _, err := events.NewKeys(line); err != nil {
		return "", fmt.Errorf("what came on stdin is no key: %w", err)
	}
	return line, nil
}

func (a *app) keyImportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import",
		Short: "Use a key that exists: hex, nsec, ncryptsec or a bunker's address, from stdin",
		Long: "Reads one line from stdin, so that no secret is an argument, and makes it the node's key file. A file that is there is never\n" +
			"replaced: move it away first.",
		Example:     "infernet key import",
		Annotations: says("role, key, npub, file, form (plain, encrypted, bunker)"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := a.settings.path("node.key")
			if _, err := os.Lstat(path); err == nil {
				return withHint(usage("%s is there already", path), "mv %s %s", quoted(path), quoted(path+".old"))
			}
			if err := a.settings.makeDataDir(); err != nil {
				return err
			}
			if _, typed := a.terminal(); typed {
				fmt.Fprintln(a.Err, "the key, on one line:")
			}
			line, err := a.newLines("").next(cmd.Context())
			if err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if line, err = importable(line); err != nil {
				return withHint(&usageError{err}, "infernet key  # makes a new one; import wants 64 hex characters, nsec1, ncryptsec1 or bunker://")
			}
			if err := writeSecret(path, line); err != nil {
				return err
			}
			s, done, err := a.signer(cmd.Context(), path)
			if err != nil { // a key that cannot be used is not kept
				return errors.Join(err, os.Remove(path))
			}
			defer done()
			return a.showKey(s.PublicKey(), path, keyForm(line))
		},
	}
}
