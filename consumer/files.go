package consumer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"infernet/events"
	"infernet/internal/blob"
	"infernet/wallet"
)

// InFile is a file on this machine to work on. It travels encrypted, its key in the encrypted job.
type InFile struct {
	Path string
	Mime string // guessed from the name if unset
}

// OutFile is a file that a job gave.
type OutFile struct {
	events.Blob
	Path string // where it is on this machine; "" if the order names no folder
}

// servers are the file servers that the customer trusts: those it named, or those beside its relays.
func (c *Consumer) servers() []string {
	if c.Servers != nil {
		return c.Servers
	}
	var servers []string
	for _, relay := range c.Relays {
		servers = append(servers, blob.ServerOf(relay))
	}
	return servers
}

func (j *job) files() *blob.Client {
	return blob.NewClient(blob.ClientConfig{Signer: j.signer, Trusted: j.c.servers(), Bytes: j.c.MaxFile, Log: j.c.Log})
}

// upload puts the order's files on a file server, signed by the job's own key, and makes inputs of them.
func (j *job) upload(ctx context.Context) error {
	o := &j.order
	if len(o.Files) == 0 {
		return nil
	}
	if o.Way == "" {
		o.Way = Direct
	}
	if o.Way != Direct {
		return errors.New("files travel with their keys, and only a direct job is encrypted: buy directly")
	}
	client := j.files()
	defer client.Close()
	life := o.Life
	if life == 0 {
		life = defaultLife
	}
	var purse *blob.Purse
	if w := j.c.Wallet; w != nil {
		purse = &blob.Purse{Most: o.MaxCost, Wallet: func(context.Context) (wallet.Payer, error) { return w, nil }}
	}
	for _, f := range o.Files {
		b, err := j.uploadOne(ctx, client, f, life, purse)
		if err != nil {
			return fmt.Errorf("input %s: %w", f.Path, err)
		}
		o.Inputs = append(slices.Clip(o.Inputs), events.Input{Value: b.URI(), Type: "blob"})
		j.c.Log.Info("uploaded an input", "file", f.Path, "bytes", b.Size, "sum", b.Sum)
	}
	if purse != nil && purse.Spent() > 0 { // the job may cost what is left
		o.MaxCost, j.storage = o.MaxCost-purse.Spent(), purse.Spent()
	}
	o.Files = nil // they are inputs now, also after a crash
	return nil
}

func (j *job) uploadOne(ctx context.Context, client *blob.Client, f InFile, life time.Duration, purse *blob.Purse) (b events.Blob, err error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return b, err
	}
	defer file.Close()
	closed, err := os.CreateTemp("", "infernet-")
	if err != nil {
		return b, err
	}
	defer func() { err = errors.Join(err, closed.Close(), os.Remove(closed.Name())) }()
	src := blob.Source{Data: closed, Mime: f.Mime, Purse: purse, Expires: j.c.Now().Add(life + events.KeepJob)}
	if src.Mime == "" {
		src.Mime = blob.TypeByName(f.Path)
	}
	if src.Key, err = blob.Encrypt(closed, file); err != nil {
		return b, err
	}
	info, err := closed.Stat()
	if err != nil {
		return b, err
	}
	src.Size = info.Size()
	return client.Put(ctx, j.c.servers(), src)
}

// fetch gets the bytes of a result's files into the order's folder, as they lie on the server, and checks that they are
// what the node signed. A sealed result is paid for only after that.
func (j *job) fetch(ctx context.Context, m *events.Result) error {
	if j.order.Out == "" || len(m.Files) == 0 {
		return nil
	}
	if err := os.MkdirAll(j.order.Out, 0o700); err != nil {
		return err
	}
	client := j.files()
	defer client.Close()
	for _, b := range m.Files {
		if err := j.fetchOne(ctx, client, b); err != nil {
			return &BadResultError{j.node, err.Error(), j.paid}
		}
	}
	return nil
}

// closedPath is where a file lies until it is opened.
func (j *job) closedPath(b events.Blob) string {
	return filepath.Join(j.order.Out, "."+b.Sum+".closed")
}

func (j *job) fetchOne(ctx context.Context, client *blob.Client, b events.Blob) error {
	b.Key = ""
	to, err := os.OpenFile(j.closedPath(b), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = client.Get(ctx, b, to, j.c.servers()...)
	return errors.Join(err, to.Close())
}

// unwrap opens the fetched files with the keys that came in the result.
func (j *job) unwrap(files []events.Blob) (out []OutFile, err error) {
	for i, b := range files {
		f := OutFile{Blob: b}
		if j.order.Out != "" {
			f.Path = filepath.Join(j.order.Out, fmt.Sprintf("%.8s-%d%s", j.req.ID, i+1, events.Ending(b.Mime)))
			if err := j.openOne(b, f.Path); err != nil {
				return nil, &BadResultError{j.node, err.Error(), j.paid}
			}
		}
		out = append(out, f)
	}
	return out, nil
}

func (j *job) openOne(b events.Blob, path string) error {
	closed := j.closedPath(b)
	if b.Key == "" {
		return os.Rename(closed, path)
	}
	from, err := os.Open(closed)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(blob.Decrypt(to, from, b.Key), to.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return os.Remove(closed)
}
