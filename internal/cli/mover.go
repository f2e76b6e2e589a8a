package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"infernet/events"
	"infernet/internal/blob"
	"infernet/wallet"
)

// mover moves files between this machine and file servers.
type mover struct {
	*blob.Client
	servers []string
}

// moving moves files as this machine's user.
func (a *app) moving(do func(m mover) error) error {
	servers, err := a.servers()
	if err != nil {
		return err
	}
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	signer, err := keys(a.settings.path("files.key"))
	if err != nil {
		return err
	}
	m := mover{blob.NewClient(blob.ClientConfig{Signer: signer, Trusted: servers, Log: a.log}), servers}
	defer m.Close()
	return unanswered(do(m), servers)
}

// unanswered says of an error that none of the servers could be reached, if it is that.
func unanswered(err error, servers []string) error {
	var own *hinted
	var dialed *net.OpError
	if err == nil || errors.As(err, &own) || !errors.As(err, &dialed) || dialed.Op != "dial" {
		return err
	}
	return &noServerError{noRelayError{relays: servers, why: err}}
}

// noServerError says that no file server answers. It counts as no relay: the servers are beside the relays, unless others
// are set.
type noServerError struct{ noRelayError }

func (e *noServerError) Error() string {
	return fmt.Sprintf("no file server answers at %s: %s", strings.Join(e.relays, ", "), shortly(e.why))
}

func (e *noServerError) hint([]string) string {
	return remark("infernet up", "or name another server: --server https://files.example")
}

// movingOne is moving for the file that a command's argument names.
func (a *app) movingOne(name string, do func(m mover, b events.Blob) error) error {
	b, err := a.findFile(name)
	if err != nil {
		return err
	}
	return a.moving(func(m mover) error { return do(m, b) })
}

// putting is how a file is put.
type putting struct {
	clear   bool
	keep    time.Duration
	mime    string
	maxCost int64 // sat
}

// purse pays file servers from the wallet, which is opened if one asks. close closes it.
func (a *app) purse(most events.Msat) (p *blob.Purse, close func()) {
	var opened []wallet.Wallet
	p = &blob.Purse{Most: most, Wallet: func(ctx context.Context) (wallet.Payer, error) {
		w, err := a.needWallet(ctx)
		if err != nil {
			return nil, err
		}
		opened = append(opened, w)
		payer, ok := w.(wallet.Payer)
		if !ok {
			return nil, usage("wallet: %s cannot pay", w.Describe())
		}
		return payer, nil
	}}
	return p, func() {
		for _, w := range opened {
			w.Close()
		}
	}
}

func (a *app) putFile(ctx context.Context, m mover, path string, how putting) error {
	purse, close := a.purse(events.Msat(how.maxCost) * events.Sat)
	defer close()
	b, err := upload(ctx, m, path, how, purse)
	if err != nil {
		return err
	}
	if err := a.book().add(b, filepath.Base(path)); err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"address": b.URI(), "sha256": b.Sum, "size": b.Size, "server": b.Servers[0], "paid_msat": purse.Spent()})
		return nil
	}
	fmt.Fprintln(a.Out, b.URI())
	if purse.Spent() > 0 {
		fmt.Fprintf(a.Err, "paid %s to %s\n", purse.Spent().Human(), b.Servers[0])
	}
	return nil
}

// upload uploads a file of this machine.
func upload(ctx context.Context, m mover, path string, how putting, purse *blob.Purse) (b events.Blob, err error) {
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
	src := blob.Source{Data: file, Size: info.Size(), Mime: or(how.mime, blob.TypeByName(path)), Purse: purse}
	if how.keep > 0 {
		src.Expires = time.Now().Add(how.keep)
	}
	if !how.clear {
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
	return m.Put(ctx, m.servers, src)
}

// getFile writes a file once all of it is here and right: what is damaged is never seen.
func (a *app) getFile(ctx context.Context, m mover, b events.Blob, out string) error {
	if out == "" && a.json {
		return withHint(usage("--json needs --out: the file itself goes to stdout"), "%s", again(a.args, "--out", "FILE"))
	}
	if err := checkOut("--out", out); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(or(out, filepath.Join(os.TempDir(), "x"))), ".infernet-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	if err := m.Get(ctx, b, temp, m.servers...); err != nil {
		return err
	}
	if out == "" {
		if _, err := temp.Seek(0, io.SeekStart); err != nil {
			return err
		}
		return a.pour(temp, cutKey(b.Sum))
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

// pour writes a file to stdout; a terminal gets text only, and nothing that moves its cursor.
func (a *app) pour(file *os.File, name string) error {
	if !a.onTerminal() {
		_, err := io.Copy(a.Out, file)
		return err
	}
	isText, err := textual(file)
	if err == nil && !isText {
		return withHint(usage("file %s is no text, and stdout is a terminal", name), "%s", again(a.args, "--out", name+".bin"))
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	var text []byte
	if err == nil {
		text, err = io.ReadAll(file) // whole, for no character to be cut
	}
	if err == nil {
		_, err = io.WriteString(a.Out, harmless(string(text)))
	}
	return err
}

func (a *app) listFiles(ctx context.Context, m mover) error {
	names, err := a.book().names()
	if err != nil {
		return err
	}
	type row struct {
		*blob.Descriptor
		server string
	}
	var rows []row
	for _, server := range m.servers {
		some, err := m.List(ctx, server)
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
				until = minute(time.Unix(r.Expires, 0))
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", r.SHA256, or(names[r.SHA256], "-"), r.Size, until, r.server)
		}
	})
}

// removeFile removes a file from every server that keeps it; an error if none did.
func (a *app) removeFile(ctx context.Context, m mover, b events.Blob) error {
	if err := a.eachServer(m, b, "removed from", func(server string) error { return m.Delete(ctx, server, b.Sum) }); err != nil {
		var status *blob.StatusError
		if errors.As(err, &status) && status.Status == http.StatusNotFound { // gone already: its name means the one before
			err = errors.Join(err, a.book().remove(b.Sum))
		}
		return err
	}
	return a.book().remove(b.Sum)
}
