package blob

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/minio/sio"
)

// Encrypt writes a file encrypted under a fresh key (DARE 2.0: AES-256-GCM in pieces of 64 KiB), and returns the key as
// base64url. A key is never used for another file. Cut, swapped and changed pieces are noticed when it is read.
func Encrypt(to io.Writer, from io.Reader) (key string, err error) {
	var raw [32]byte
	rand.Read(raw[:])
	// one cipher for all: browsers have it
	config := sio.Config{Key: raw[:], MinVersion: sio.Version20, CipherSuites: []byte{sio.AES_256_GCM}}
	if _, err := sio.Encrypt(to, from, config); err != nil {
		return "", fmt.Errorf("encrypt: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(raw[:]), nil
}

// opener decrypts what is written to it. The library's own writer does not notice a file that was cut between two pieces;
// its reader does.
type opener struct {
	in    *io.PipeWriter
	done  chan error
	empty bool // nothing was written: an empty file has no pieces
}

func decrypter(to io.Writer, key string) (*opener, error) {
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(raw) != 32 {
		return nil, fmt.Errorf("decrypt: the key is no base64url of 32 bytes")
	}
	out, in := io.Pipe()
	plain, err := sio.DecryptReader(out, sio.Config{Key: raw, MinVersion: sio.Version20})
	if err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	o := &opener{in: in, done: make(chan error, 1), empty: true}
	go func() {
		_, err := io.Copy(to, plain)
		out.CloseWithError(err)
		o.done <- err
	}()
	return o, nil
}

func (o *opener) Write(p []byte) (int, error) {
	o.empty = o.empty && len(p) == 0
	return o.in.Write(p)
}

// Close says whether all of it was the file's, to its end.
func (o *opener) Close() error {
	o.in.Close()
	err, first := <-o.done
	if first {
		close(o.done)
	}
	if err != nil && !o.empty {
		return fmt.Errorf("decrypt: %w", err)
	}
	return nil
}

// Decrypt writes an encrypted file in clear. What was written before an error is to be thrown away.
func Decrypt(to io.Writer, from io.Reader, key string) error {
	o, err := decrypter(to, key)
	if err != nil {
		return err
	}
	if _, err := io.Copy(o, from); err != nil {
		o.Close()
		return fmt.Errorf("decrypt: %w", err)
	}
	return o.Close()
}

// PlainSize is how many bytes an encrypted file of so many has in clear; the same for one that is not encrypted.
func PlainSize(size int64, key string) (int64, error) {
	if key == "" {
		return size, nil
	}
	plain, err := sio.DecryptedSize(uint64(size))
	if err != nil {
		return 0, fmt.Errorf("no encrypted file has %d bytes", size)
	}
	return int64(plain), nil
}
