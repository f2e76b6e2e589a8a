// Package blob keeps and moves files that are named by their content: a server and a client of the Blossom protocol
// (BUD-01, 02, 04, 06, 07, 08, 09, 11 and 12), and encryption with one fresh key for each file.
//
// It promises that no file is ever held in memory, that what is announced costs nothing until it arrives, that a file is
// shown only once its bytes have the hash it is named by, and that whoever holds a file without its key learns its size
// and nothing else. Uploads and downloads that were cut go on where they stood. Begin with Open for a server, NewClient
// for a client, Encrypt.
package blob

import (
	"encoding/hex"
	"mime"
	"strings"

	"infernet/events"
)

// Descriptor is what a server says of a file (BUD-02).
type Descriptor struct {
	URL      string     `json:"url"`
	SHA256   string     `json:"sha256"`
	Size     int64      `json:"size"`
	Type     string     `json:"type"`
	Uploaded int64      `json:"uploaded"`             // unix seconds
	Expires  int64      `json:"expiration,omitempty"` // unix seconds; 0 if the server keeps it
	NIP94    [][]string `json:"nip94,omitempty"`      // BUD-08
}

// unknownType is the MIME type of what nobody said a type of (BUD-01).
const unknownType = "application/octet-stream"

// isSum says whether s is a SHA-256 as it travels: 64 lower-case hex characters.
func isSum(s string) bool {
	if len(s) != 64 || strings.ToLower(s) != s {
		return false
	}
	_, err := hex.DecodeString(s)
	return err == nil
}

// splitName takes a file's name apart: its hash, and the ending that nobody relies on.
func splitName(name string) (sum string, ok bool) {
	sum, _, _ = strings.Cut(name, ".")
	return sum, isSum(sum)
}

// IsName says whether a path, without the slash before it, names a file: a SHA-256, perhaps with an ending.
func IsName(path string) bool {
	_, ok := splitName(path)
	return ok && !strings.Contains(path, "/")
}

// typeOf reads a MIME type out of a header; unknownType if it says none.
func typeOf(header string) string {
	name, _, err := mime.ParseMediaType(header)
	if err != nil || len(name) > 127 || !strings.Contains(name, "/") {
		return unknownType
	}
	return name
}

// TypeByName guesses a MIME type from a file's name.
func TypeByName(name string) string {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return unknownType
	}
	for t, ending := range events.Endings {
		if ending == strings.ToLower(name[dot:]) {
			return t
		}
	}
	return typeOf(mime.TypeByExtension(name[dot:]))
}
