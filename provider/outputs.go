package provider

import (
	"context"
	"errors"
	"fmt"
	"os"

	"infernet/engine"
	"infernet/events"
	"infernet/internal/blob"
	"infernet/wallet"
)

// maxFiles is how many files one result has at most: each is a line and a tag of its event.
const maxFiles = 32

// upload puts a job's output files on a file server, for as long as the job's events are kept. Where the result travels
// encrypted, each file is encrypted under a key of its own, which travels in the result.
func (p *Provider) upload(ctx context.Context, j *job, files []engine.File, encrypted bool) ([]events.Blob, error) {
	if len(files) > maxFiles {
		return nil, refuse(events.CodeTooLarge, "%d output files, at most %d", len(files), maxFiles)
	}
	purse := p.purse(j)
	var out []events.Blob
	for _, f := range files {
		b, err := p.uploadOne(ctx, j, f, encrypted, purse)
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// purse pays file servers that want to be paid, at most what the job has brought, or what is locked for it. A sealed result
// may never be paid for: whoever orders such jobs is not to spend the node's money.
func (p *Provider) purse(j *job) *blob.Purse {
	w, ok := p.Wallet.(wallet.Payer)
	if !ok {
		return nil
	}
	most := j.paid
	if !j.heldTil.IsZero() {
		most = j.terms.Amount
	}
	return &blob.Purse{Most: most, Wallet: func(context.Context) (wallet.Payer, error) { return w, nil }}
}

func (p *Provider) uploadOne(ctx context.Context, j *job, f engine.File, encrypted bool, purse *blob.Purse) (b events.Blob, err error) {
	file, err := j.openInJob(f.Path)
	if err != nil {
		return b, fmt.Errorf("output file: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return b, err
	case !info.Mode().IsRegular():
		return b, fmt.Errorf("output file %q is no file", f.Path)
	case info.Size() > p.MaxOutput:
		return b, refuse(events.CodeTooLarge, "an output file of %d bytes, at most %d", info.Size(), p.MaxOutput)
	}
	src := blob.Source{Data: file, Size: info.Size(), Mime: f.Mime, Purse: purse, Expires: j.req.Keep().Time()}
	if encrypted {
		closed, err := os.CreateTemp(j.dir, "closed-")
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
	if b, err = p.Files.Put(ctx, p.Servers, src); err != nil {
		return b, refuse(events.CodeUnavailable, "output file: %v", err)
	}
	return b, nil
}
