package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/bech32"

	"infernet/events"
)

// FuzzConfig reads anything as the config file: it is understood, or an error says what to mend, with a command that opens
// the file. What is understood is shown so that it reads back the same.
func FuzzConfig(f *testing.F) {
	for _, body := range []string{
		"", "relays = [\"ws://127.0.0.1:7777\"]\n", "[provide]\nslots = 2\npay = [\"prepaid\", \"hold\"]\n",
		"[provide.prices.\"smol:1b\"]\nbase = 1000\nin = 20\n", "data_dir = \"/x\"\n[run]\nmax_cost = 5\n",
		"provide = 1\n", "[provide]\nprices = [1]\n", "[provide.prices]\nx = 1\n", "[provide.prices.x]\nbase = -1\n", "[[provide]]\nslots = 1\n",
		"relays = [[\"a\"], {b = 1}]\n", "a = 1979-05-27T07:32:00Z\n", "\xff", "relays = \"a\"\nrelays = \"b\"\n", "relay.url.x.y = 1e400\n",
	} {
		f.Add([]byte(body))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, body []byte) {
		read := func(body []byte) (*settings, error) {
			file := filepath.Join(dir, "config.toml")
			if err := os.WriteFile(file, body, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := loadSettings(func(string) string { return "" }, file)
			if err == nil {
				err = s.check()
			}
			return s, err
		}
		s, err := read(body)
		if err != nil {
			if code, message, hint := explain(err, nil); code != 2 || hint == "" || strings.Contains(message, "\n") {
				t.Fatalf("%q: exit code %d, %q, hint %q", body, code, message, hint)
			}
			return
		}
		var out bytes.Buffer
		a := &app{IO: IO{Out: &out}, settings: s}
		if err := a.configCommand().RunE(nil, nil); err != nil {
			t.Fatal(err)
		}
		for _, k := range table {
			if hide(s.values[k.name]) != s.values[k.name] {
				return // what is hidden does not read back
			}
		}
		again, err := read(out.Bytes())
		if err != nil {
			t.Fatalf("%q is shown as\n%s\nwhich does not read: %v", body, &out, err)
		}
		for _, k := range table {
			if s.text(k.name) != again.text(k.name) && k.kind != "list" {
				t.Fatalf("%s is %q, and shown as %q", k.name, s.text(k.name), again.text(k.name))
			}
		}
		for model, p := range s.prices {
			if again.prices[model] != p {
				t.Fatalf("the price of %q is %+v, and shown as %+v", model, p, again.prices[model])
			}
		}
	})
}

// FuzzKeyFile reads anything as the line of a key file (NIP-49, NIP-19, hex): a key comes out, or an error that does not
// repeat what may be secret.
func FuzzKeyFile(f *testing.F) {
	keys := events.GenerateKeys()
	f.Add(keys.Secret(), []byte{})
	f.Add("nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5", []byte{})
	f.Add("npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg", []byte{})
	f.Add("ncryptsec1", bytes.Repeat([]byte{2, 0}, 46)[:91])
	f.Add("ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j4jdzz84zm3frztj3z7s35vpzmqf6ksu8r89qk5z2zxfmu5gv8th8wclt0h4p", []byte{})
	f.Add("nsec1", []byte{1})
	f.Fuzz(func(t *testing.T, line string, sealed []byte) {
		if len(sealed) > 1 { // a whole one, whose checksum is right; a cheap one
			sealed[1] &= 3
			if words, err := bech32.ConvertBits(sealed, 8, 5, true); err == nil {
				line, _ = bech32.Encode("ncryptsec", words)
			}
		}
		var k *events.Keys
		var err error
		if line = strings.TrimSpace(line); keyForm(line) == encryptedKey {
			if len(line) > len("ncryptsec1")+4 && len(sealed) < 2 {
				return // as costly as the line says
			}
			if line, err = decryptKey(line, "password"); err == nil {
				k, err = events.NewKeys(line)
			}
		} else if keyForm(line) != bunkerKey {
			k, err = (&app{}).unlock(t.Context(), "key", line)
		} else {
			return // internal/bunker's
		}
		if err != nil {
			if len(line) > 20 && strings.Contains(err.Error(), line) {
				t.Fatalf("the error repeats the file: %v", err)
			}
			return
		}
		if back, err := events.NewKeys(k.Secret()); err != nil || back.PublicKey() != k.PublicKey() {
			t.Fatalf("%q is read as a key that does not read back: %v", line, err)
		}
	})
}
