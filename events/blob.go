package events

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

// Blob names a file by its content. It travels as a blossom URI (BUD-10):
//
//	blossom:<sha256>.<ending>?m=<MIME type>&sz=<bytes>&xs=<server>#dare2:<key>
//
// A file with a key is encrypted; the key stands where servers never see it, and the whole URI only in encrypted messages.
type Blob struct {
	Sum     string   // SHA-256 of the bytes on the server, hex
	Size    int64    // of the bytes on the server; 0 if not said
	Mime    string   // of the file in clear; "" if not said
	Servers []string // https://host, where it can be fetched
	Key     string   // base64url of 32 bytes, DARE 2.0; "" if it lies in clear
}

// MaxServers is how many servers a blob may name.
const MaxServers = 5

// ParseBlob reads a blossom URI.
func ParseBlob(raw string) (Blob, error) {
	var b Blob
	rest, ok := strings.CutPrefix(raw, "blossom:")
	if !ok || len(raw) > 4096 {
		return b, fmt.Errorf("%s is no blossom: address", quote(raw))
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	name, query, _ := strings.Cut(rest, "?")
	b.Sum, _, ok = strings.Cut(name, ".")
	if !ok || !isHex64(b.Sum) {
		return b, fmt.Errorf("%s wants <sha256>.<ending>", quote(raw))
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return b, fmt.Errorf("%s: %w", quote(raw), err)
	}
	if size := values.Get("sz"); size != "" {
		if b.Size, err = parseNumber(size); err != nil {
			return b, fmt.Errorf("blossom address: sz: %w", err)
		}
	}
	if b.Mime = values.Get("m"); len(b.Mime) > 127 {
		return b, fmt.Errorf("blossom address: a MIME type of %d bytes", len(b.Mime))
	}
	for _, server := range values["xs"] {
		if server, err = serverURL(server); err != nil {
			return b, err
		}
		b.Servers = append(b.Servers, server)
	}
	if len(b.Servers) > MaxServers {
		return b, fmt.Errorf("blossom address: %d servers, at most %d", len(b.Servers), MaxServers)
	}
	if fragment != "" {
		if b.Key, ok = strings.CutPrefix(fragment, "dare2:"); !ok {
			return b, fmt.Errorf("blossom address: an unknown encryption, not dare2")
		}
		if key, err := base64.RawURLEncoding.Strict().DecodeString(b.Key); err != nil || len(key) != 32 {
			return b, fmt.Errorf("blossom address: the key is no base64url of 32 bytes")
		}
	}
	return b, nil
}

// serverURL reads a server: https://host or http://host, without a path; https if it does not say.
func serverURL(raw string) (string, error) {
	if !strings.Contains(raw, "://") {
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil ||
		strings.ContainsAny(u.Host, "% ,\"<>") {
		return "", fmt.Errorf("blossom address: %s is no server", quote(raw))
	}
	return u.Scheme + "://" + u.Host, nil
}

// URI is the blob's blossom address, with its key.
func (b Blob) URI() string {
	values := url.Values{"xs": b.Servers}
	if b.Size > 0 {
		values.Set("sz", Msat(b.Size).String())
	}
	if b.Mime != "" {
		values.Set("m", b.Mime)
	}
	uri := "blossom:" + b.Sum + b.ending()
	if query := values.Encode(); query != "" {
		uri += "?" + query
	}
	if b.Key != "" {
		uri += "#dare2:" + b.Key
	}
	return uri
}

// URL is where the blob's bytes are, on the first server that has them; "" if no server is known.
func (b Blob) URL() string {
	if len(b.Servers) == 0 {
		return ""
	}
	return b.Servers[0] + "/" + b.Sum + b.ending()
}

func (b Blob) ending() string {
	if b.Key != "" {
		return Ending("")
	}
	return Ending(b.Mime)
}

// closed is what outsiders may know of the blob: not its key, nor what is in it.
func (b Blob) closed() Blob {
	if b.Key != "" {
		b.Key, b.Mime = "", ""
	}
	return b
}

// imeta writes what everybody may know of a blob (NIP-92).
func (w *writer) imeta(b Blob) {
	b = b.closed()
	tag := []string{"url " + b.URL()}
	if b.Mime != "" {
		tag = append(tag, "m "+b.Mime)
	}
	tag = append(tag, "x "+b.Sum)
	if b.Size > 0 {
		tag = append(tag, "size "+Msat(b.Size).String())
	}
	for i := 1; i < len(b.Servers); i++ {
		tag = append(tag, "fallback "+b.Servers[i]+"/"+b.Sum+b.ending())
	}
	w.tag("imeta", tag...)
}

// imetas reads the files of a result. Other parties say many things in this tag: what names no file by its hash on a
// server of files is left out.
func (r *reader) imetas() (files []Blob) {
	for _, values := range r.all("imeta") {
		var b Blob
		var urls []string
		for _, value := range values {
			name, value, _ := strings.Cut(value, " ")
			switch name {
			case "x":
				b.Sum = value
			case "m":
				b.Mime = value
			case "size":
				b.Size, _ = parseNumber(value)
			case "url", "fallback":
				urls = append(urls, value)
			}
		}
		for _, at := range urls {
			slash := strings.LastIndexByte(at, '/')
			if slash < 0 || !strings.HasPrefix(at[slash+1:], b.Sum) || len(b.Servers) == MaxServers {
				continue
			}
			if server, err := serverURL(at[:slash]); err == nil {
				b.Servers = append(b.Servers, server)
			}
		}
		if isHex64(b.Sum) && len(b.Servers) > 0 && len(b.Mime) <= 127 {
			files = append(files, b)
		}
	}
	return files
}

// WithFiles is a result's content: its text, and a line for each file: its address in clear results, its blossom address
// with the key in encrypted ones.
func WithFiles(text string, files []Blob) string {
	for _, b := range files {
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if b.Key != "" {
			text += b.URI() + "\n"
		} else {
			text += b.URL() + "\n"
		}
	}
	return text
}

// Split takes a content apart into the text and the result's files, with their keys. Content is the result's own, or what
// a sealed one opened to. Lines count only if they are the files that the node signed in its imeta tags: what an engine
// says is never mistaken for one. Foreign results keep their whole content.
func (m *Result) Split(content string) (text string, files []Blob) {
	text = strings.TrimSuffix(content, "\n")
	files = append(files, m.Files...)
	for i := len(files) - 1; i >= 0; i-- {
		var line string
		if cut := strings.LastIndexByte(text, '\n'); cut >= 0 {
			text, line = text[:cut], text[cut+1:]
		} else {
			text, line = "", text
		}
		if line == files[i].URL() {
			continue
		}
		b, err := ParseBlob(line)
		if err != nil || b.Sum != m.Files[i].Sum {
			return content, append([]Blob(nil), m.Files...)
		}
		files[i] = b
	}
	if len(files) == 0 {
		text = content
	}
	return text, files
}
