package relay

import (
	"bufio"
	"context"
	"io"

	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// Export writes the events that a filter finds, one JSON object a line, in the order in which they came: so an import
// elsewhere finds each request before what was said about it. It gives how many. Expired events are left out; the filter's
// limit is not asked.
func (r *Relay) Export(ctx context.Context, to io.Writer, f nostr.Filter) (n int, err error) {
	if !r.work() {
		return 0, errClosing
	}
	defer r.working.Done()
	s, err := r.store.log.Snapshot()
	if err != nil {
		return 0, err
	}
	out := bufio.NewWriterSize(to, 256<<10)
	now := nostr.Timestamp(r.Now().Unix())
	err = s.Each(func(found eventlog.Found) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case r.leaving():
			return errClosing
		case found.Expires <= now || !eventlog.Matches(f, &found):
			return nil
		}
		n++
		out.Write(found.Raw)
		return out.WriteByte('\n') // the first error of a bufio.Writer stays
	})
	if err != nil {
		return n, err
	}
	return n, out.Flush()
}
