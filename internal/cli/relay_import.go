package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/spf13/cobra"

	"infernet/relay"
)

func (a *app) relayExportCommand() *cobra.Command {
	var kinds []int
	var authors []string
	var since, until string
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the relay's events into a file, one JSON object a line",
		Long: "Writes the events in the order in which they came, so that any relay can take them in that order; - is stdout. The relay is\n" +
			"the one of the data folder, running or not, or the one at --relay. What a file of events does not hold is what only a backup\n" +
			"does: what was deleted, the bans, and since when nodes are known.",
		Example:     "infernet relay export events.jsonl\ninfernet relay export - --kind 31990 --since 2026-01-01",
		Annotations: says("the events themselves for -; else exported, events"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := nostr.Filter{Kinds: kinds}
			for _, name := range authors {
				key, err := publicKey(name)
				if err != nil || key == "" {
					return usage("--author: %w", err)
				}
				f.Authors = append(f.Authors, string(key))
			}
			for text, at := range map[*string]**nostr.Timestamp{&since: &f.Since, &until: &f.Until} {
				if *text != "" {
					day, err := readTime(*text)
					if err != nil {
						return err
					}
					*at = &day
				}
			}
			return a.operating(cmd.Context(), func(o operator, _ string) error { return a.export(cmd.Context(), o, args[0], f) })
		},
	}
	cmd.Flags().IntSliceVar(&kinds, "kind", nil, "only events of this kind, may be repeated")
	cmd.Flags().StringSliceVar(&authors, "author", nil, "only events of this key, npub or hex, may be repeated")
	cmd.Flags().StringVar(&since, "since", "", "only events made then or later: 2026-01-31, or with a time as 2026-01-31T12:00:00Z")
	cmd.Flags().StringVar(&until, "until", "", "only events made then or earlier")
	return cmd
}

// readTime reads a day or a moment.
func readTime(text string) (nostr.Timestamp, error) {
	for _, form := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(form, text); err == nil {
			return nostr.Timestamp(at.Unix()), nil
		}
	}
	return 0, usage("%q is no time such as 2026-01-31 or 2026-01-31T12:00:00Z", text)
}

func (a *app) export(ctx context.Context, o operator, to string, f nostr.Filter) error {
	if to == "-" {
		_, err := o.Export(ctx, a.Out, f)
		return err
	}
	out, err := os.OpenFile(to+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	n, err := o.Export(ctx, out, f)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		os.Remove(to + ".part")
		return err
	}
	if err := os.Rename(to+".part", to); err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"exported": to, "events": n})
		return nil
	}
	a.tell("export ", "%d events in %s", n, to)
	return nil
}

func (a *app) relayImportCommand() *cobra.Command {
	var anew bool
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Give the relay the events of a file, one JSON object a line",
		Long: "Each event is verified and taken as if it came in now, in the order of the file; what is refused is counted, with the reason\n" +
			"and the first line. - is stdin. An import that was cut off goes on where it stood when the same command is run again.\n\n" +
			"The relay is the one of the data folder, running or not, or the one at --relay.",
		Example:     "infernet relay import events.jsonl",
		Annotations: says("lines, taken, had, refused (reason to number), first (reason to line)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.operating(cmd.Context(), func(o operator, at string) error { return a.importFile(cmd.Context(), o, args[0], at, anew) })
		},
	}
	cmd.Flags().BoolVar(&anew, "anew", false, "begin at the first line, also if an import of this file was cut off")
	return cmd
}

// stand is how far an import has come.
type stand struct {
	Begins string         `json:"begins"` // hash of the file's first bytes: it is the same file
	Offset int64          `json:"offset"`
	All    relay.Imported `json:"all"`
	path   string
}

func (a *app) importFile(ctx context.Context, o operator, name, at string, anew bool) error {
	if name == "-" {
		all, err := a.importAll(ctx, o, a.In, nil)
		if err != nil {
			return err
		}
		return a.tellImported(all, map[string]any{})
	}
	f, err := os.Open(name)
	if err != nil {
		return usage("%w", err)
	}
	defer f.Close()
	s, err := a.standOf(f, at)
	if err != nil {
		return err
	}
	if anew {
		s.Offset, s.All = 0, relay.Imported{}
	}
	if s.Offset > 0 {
		a.tell("import ", "goes on after line %d", s.All.Lines)
	}
	if _, err := f.Seek(s.Offset, io.SeekStart); err != nil {
		return err
	}
	all, err := a.importAll(ctx, o, f, s)
	if err != nil {
		return withHint(fmt.Errorf("after line %d: %w", s.All.Lines, err), "%s", remark(line(a.args), "goes on there"))
	}
	os.Remove(s.path)
	return a.tellImported(all, map[string]any{})
}

// standOf finds how far an earlier import of the same file into the same relay has come.
func (a *app) standOf(f *os.File, at string) (*stand, error) {
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	path, err := filepath.Abs(f.Name())
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	name, begins := sha256.Sum256([]byte(path+"\x00"+at)), sha256.Sum256(head[:n])
	s := &stand{path: a.settings.path("imports", hex.EncodeToString(name[:8])+".json")}
	body, err := os.ReadFile(s.path)
	if err == nil && json.Unmarshal(body, s) == nil && s.Begins == hex.EncodeToString(begins[:]) && s.Offset <= info.Size() {
		return s, nil
	}
	return &stand{path: s.path, Begins: hex.EncodeToString(begins[:])}, nil
}

func (s *stand) save() error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(s.path+".part", body, 0o600); err != nil {
		return err
	}
	return os.Rename(s.path+".part", s.path)
}

// importAll gives a relay lines, some at a time: what it has said yes to is on its disk. s, if there is one, is kept after
// each.
func (a *app) importAll(ctx context.Context, o operator, from io.Reader, s *stand) (relay.Imported, error) {
	if s == nil {
		s = &stand{}
	}
	lines := bufio.NewReaderSize(from, 1<<20)
	told := time.Now()
	for {
		some, read, end := readSome(lines)
		if end != nil && !errors.Is(end, io.EOF) {
			return s.All, end
		}
		if len(some) > 0 {
			more, err := o.Import(ctx, bytes.NewReader(some))
			if err != nil {
				return s.All, err
			}
			s.All.Add(more)
			s.Offset += read
			if s.path != "" {
				if err := s.save(); err != nil {
					return s.All, err
				}
			}
		}
		if end != nil {
			return s.All, nil
		}
		if time.Since(told) > 2*time.Second && !a.json {
			told = time.Now()
			a.tell("import ", "%d lines", s.All.Lines)
		}
	}
}

// readSome reads lines, as many as one request takes. A line that is longer than any event is left out but for its
// beginning, which is refused. read is how many bytes all of them have.
func readSome(lines *bufio.Reader) (some []byte, read int64, end error) {
	const most = relay.MaxImport - (1 << 20)
	for len(some) < most {
		part, err := lines.ReadSlice('\n')
		some, read = append(some, part...), read+int64(len(part))
		for errors.Is(err, bufio.ErrBufferFull) {
			if part, err = lines.ReadSlice('\n'); err == nil {
				some = append(some, '\n')
			}
			read += int64(len(part))
		}
		if err != nil {
			return some, read, err
		}
	}
	return some, read, nil
}

// tellImported says what became of lines.
func (a *app) tellImported(all relay.Imported, fields map[string]any) error {
	if a.json {
		for name, v := range map[string]any{"lines": all.Lines, "taken": all.Taken, "had": all.Had, "refused": orEmpty(all.Refused), "first": orEmpty(all.First)} {
			fields[name] = v
		}
		a.object(a.Out, fields)
		return nil
	}
	refused := 0
	for _, n := range all.Refused {
		refused += n
	}
	a.tell("import ", "%d of %d lines taken; %d were there, %d refused", all.Taken, all.Lines, all.Had, refused)
	for _, why := range slices.Sorted(maps.Keys(all.Refused)) {
		a.tell("refused", "%d: %s (first in line %d)", all.Refused[why], cell(why), all.First[why])
	}
	return nil
}

func orEmpty(m map[string]int) map[string]int {
	if m == nil {
		return map[string]int{}
	}
	return m
}

func (a *app) relayCompactCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Take deleted and replaced events off the relay's disk now",
		Long: "The relay does it by itself, file by file, once half of a file is deleted. This does it now for every file that holds anything\n" +
			"deleted, also while the relay runs. The file that is written last is left as it is.",
		Example:     "infernet relay compact",
		Annotations: says("saved (bytes)"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.operating(cmd.Context(), func(o operator, _ string) error {
				saved, err := o.Compact()
				if err != nil {
					return err
				}
				if a.json {
					a.object(a.Out, map[string]any{"saved": saved})
					return nil
				}
				a.tell("compact", "%s saved", byteSize(saved))
				return nil
			})
		},
	}
}
