package completions

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// stream reads server-sent events (WHATWG HTML §9.2) as this API uses them: one data field an event.
type stream struct {
	in  *bufio.Reader
	buf []byte
}

// maxEvent bounds one event, in bytes.
const maxEvent = 1 << 20

var errLongEvent = errors.New("an event above 1 MiB")

func newStream(r io.Reader) *stream { return &stream{in: bufio.NewReaderSize(r, 16<<10)} }

// next gives the data of the next event; it is valid until the following call. io.ErrUnexpectedEOF at the end of the
// body, since the API ends a stream with an event of its own.
func (s *stream) next() ([]byte, error) {
	for {
		line, err := s.line()
		if err != nil {
			return nil, err
		}
		// llama-server writes "error:" where an error comes in the middle of a stream
		for _, field := range [...]string{"data:", "error:"} {
			if data, ok := bytes.CutPrefix(line, []byte(field)); ok {
				data = bytes.TrimPrefix(data, []byte(" "))
				if field == "error:" && !bytes.HasPrefix(data, []byte(`{"error"`)) {
					data = append(append([]byte(`{"error":`), data...), '}')
				}
				return data, nil
			}
		}
		// blank lines, comments and other fields say nothing here
	}
}

// line reads one line without its end.
func (s *stream) line() ([]byte, error) {
	s.buf = s.buf[:0]
	for {
		piece, err := s.in.ReadSlice('\n')
		if err == nil && len(s.buf) == 0 {
			return bytes.TrimRight(piece, "\r\n"), nil // the usual case: nothing is copied
		}
		s.buf = append(s.buf, piece...)
		switch {
		case len(s.buf) > maxEvent:
			return nil, errLongEvent
		case err == nil:
			return bytes.TrimRight(s.buf, "\r\n"), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(s.buf) > 0:
			return s.buf, nil
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
