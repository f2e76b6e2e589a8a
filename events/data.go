package events

import (
	"encoding/base64"
	"fmt"
	"mime"
	"strings"
)

// DataURL names a file by holding it: data:audio/ogg;base64,… (RFC 2397). Small files travel so, as an input of type url
// and as a line of a result's content; larger ones are blobs.
func DataURL(mimeType string, body []byte) string {
	return "data:" + mimeType + ";base64," + base64.StdEncoding.EncodeToString(body)
}

// IsDataURL says whether an address is a file itself: nothing is fetched for it.
func IsDataURL(address string) bool { return strings.HasPrefix(address, "data:") }

// ParseDataURL reads a file out of its address. Only base64 is read, without line breaks.
func ParseDataURL(address string) (mimeType string, body []byte, err error) {
	head, data, ok := strings.Cut(strings.TrimPrefix(address, "data:"), ",")
	if !IsDataURL(address) || !ok {
		return "", nil, fmt.Errorf("%s is no data: address", quote(address))
	}
	head, ok = strings.CutSuffix(head, ";base64")
	if !ok {
		return "", nil, fmt.Errorf("%s is not in base64", quote(address))
	}
	if mimeType, _, err = mime.ParseMediaType(head); err != nil || len(mimeType) > 127 {
		return "", nil, fmt.Errorf("%s names no MIME type", quote(address))
	}
	if body, err = base64.StdEncoding.Strict().DecodeString(data); err != nil {
		return "", nil, fmt.Errorf("%s: %w", quote(address), err)
	}
	return mimeType, body, nil
}
