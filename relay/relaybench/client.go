package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/eventlog"
)

// conn is a WebSocket client that costs as little as can be: frames are made before, masked with zeros.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func connect(s *server) (*conn, error) {
	raw, err := net.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(raw, "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", s.addr)
	c := &conn{raw, bufio.NewReaderSize(raw, 4096)}
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if line == "\r\n" {
			return c, nil
		}
	}
}

func frame(parts ...any) []byte {
	body, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return frameOf(body)
}

func frameOf(body []byte) []byte {
	b := []byte{0x81}
	switch n := len(body); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 65535:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), body...)
}

// next reads one text message into room.
func (c *conn) next(room []byte) ([]byte, error) {
	for {
		var head [10]byte
		if _, err := io.ReadFull(c.in, head[:2]); err != nil {
			return nil, err
		}
		n := int(head[1] & 127)
		switch n {
		case 126:
			io.ReadFull(c.in, head[:2])
			n = int(binary.BigEndian.Uint16(head[:]))
		case 127:
			io.ReadFull(c.in, head[:8])
			n = int(binary.BigEndian.Uint64(head[:]))
		}
		room = slices.Grow(room[:0], n)[:n]
		if _, err := io.ReadFull(c.in, room); err != nil {
			return nil, err
		}
		if head[0]&15 == 8 {
			return nil, io.EOF
		}
		return room, nil
	}
}

// until reads until a message of a kind, and gives it.
func (c *conn) until(kind string) ([]byte, error) {
	var room []byte
	for {
		m, err := c.next(room)
		if err != nil {
			return nil, err
		}
		room = m
		if bytes.HasPrefix(m, []byte(`["`+kind+`"`)) {
			return m, nil
		}
		if bytes.HasPrefix(m, []byte(`["CLOSED"`)) || bytes.HasPrefix(m, []byte(`["NOTICE"`)) {
			return nil, errors.New(string(m))
		}
	}
}

// listen opens a subscription and waits until it is live.
func (c *conn) listen(id string, f nostr.Filter) error {
	if _, err := c.Write(frame("REQ", id, f)); err != nil {
		return err
	}
	_, err := c.until("EOSE")
	return err
}

func okID(m []byte) (id string, ok bool) {
	if len(m) < 76 || !bytes.HasPrefix(m, []byte(`["OK","`)) {
		return "", false
	}
	return string(m[7:71]), true
}

func eventID(m []byte) string {
	if i := bytes.Index(m, []byte(`"id":"`)); i >= 0 && len(m) > i+70 {
		return string(m[i+6 : i+70])
	}
	return ""
}

// signed are events of about 1 kB, signed before anything is measured.
type signed struct {
	id    string
	frame []byte
}

var author = events.GenerateKeys()

func sign(n, kind int, tags ...nostr.Tag) []signed {
	all := make([]signed, n)
	var group sync.WaitGroup
	for half := range 2 {
		group.Go(func() {
			for i := half; i < n; i += 2 {
				ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Now(), Content: fmt.Sprint(kind, i, time.Now().UnixNano(), strings.Repeat("x", 480)),
					Tags: append(nostr.Tags{{"expiration", fmt.Sprint(time.Now().Unix() + 7200)}, {"alt", "a benchmark"}}, tags...)}
				if err := author.Sign(context.Background(), ev); err != nil {
					panic(err)
				}
				all[i] = signed{ev.ID, frame("EVENT", ev)}
			}
		})
	}
	group.Wait()
	return all
}

// cpu is what a process has used.
func (s *server) cpu() (total time.Duration) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.cmd.Process.Pid))
	for _, path := range paths {
		b, _ := os.ReadFile(path)
		ns, _, _ := strings.Cut(string(b), " ")
		n, _ := strconv.ParseInt(ns, 10, 64)
		total += time.Duration(n)
	}
	return total
}

// memory is what of a process is in memory, in KiB.
func (s *server) memory() int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return n
		}
	}
	return 0
}

const (
	fillJobs  = 200_000
	fillNodes = 2000
)

func jobID(n int) string { return fmt.Sprintf("%016x%048x", n+1, n) }

func nodeKey(n int) string { return fmt.Sprintf("%016x%048x", n+7, n) }

// fill writes events of a market into a store; nobody looks at their signatures again.
func fill(dir string, n int) error {
	l, err := eventlog.Open(eventlog.Options{Dir: dir})
	if err != nil {
		return err
	}
	began := time.Now()
	var failed error
	var group sync.WaitGroup
	for i := range n {
		job, node := i%fillJobs, i%fillNodes
		tags := nostr.Tags{{"e", jobID(job)}, {"p", nodeKey(node)}, {"status", "success"}, {"expiration", "2500000000"}, {"alt", "Result of a job"}}
		kind := []int{5050, 7000, 7000, 6050, 31990}[(i/7)%5]
		if kind == 31990 {
			tags = nostr.Tags{{"d", fmt.Sprint("node-", i)}, {"k", "5050"}, {"t", "llama3.1:8b"}}
		}
		ev := &nostr.Event{ID: fmt.Sprintf("%016x%048x", uint64(i)*0x9e3779b97f4a7c15, i), PubKey: nodeKey(node), Kind: kind, CreatedAt: nostr.Timestamp(time.Now().Unix() - 1_000_000 + int64(i)),
			Content: strings.Repeat("y", 480), Tags: tags, Sig: strings.Repeat("ab", 64)}
		raw, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		group.Add(1)
		l.Put(eventlog.Write{Event: ev, Raw: raw}, func(_ eventlog.Ref, err error) {
			if err != nil {
				failed = err
			}
			group.Done()
		})
	}
	group.Wait()
	fmt.Printf("%d events of about 1 kB written durably into the store in %.1f s\n", n, time.Since(began).Seconds())
	return errors.Join(failed, l.Close())
}
