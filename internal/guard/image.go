package guard

import (
	"errors"
	"fmt"
	"image"
	_ "image/gif" // read their sizes
	_ "image/jpeg"
	_ "image/png"
	"io"
	"net/http"
	"strings"

	_ "golang.org/x/image/webp"
)

// maxHeader is how far into a picture its size is looked for.
const maxHeader = 4 << 20

// CheckPicture reads the size of a picture without decoding it: ErrTooLarge if decoding would take more pixels than
// allowed, whatever the file's own size. What is no picture passes; a picture whose size cannot be read does not. It
// leaves the offset alone.
func (g *Guard) CheckPicture(file io.ReaderAt) error {
	head := make([]byte, 512)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	size, format, err := image.DecodeConfig(io.NewSectionReader(file, 0, maxHeader))
	if err != nil {
		if sniffed := http.DetectContentType(head[:n]); strings.HasPrefix(sniffed, "image/") {
			return fmt.Errorf("the size of this %s cannot be read: %w", sniffed, err)
		}
		return nil
	}
	if pixels := int64(size.Width) * int64(size.Height); pixels > g.Pixels {
		return fmt.Errorf("%w: a %s of %d × %d pixels, at most %d together", ErrTooLarge, format, size.Width, size.Height, g.Pixels)
	}
	return nil
}
