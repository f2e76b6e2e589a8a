package relay

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// TestAFullDisk fills a real disk under a relay: what is published is refused with the reason, and handed to nobody; what is
// stored is served, and what needs no disk goes through; a message that was refused has not counted. With room again all is
// taken, and nobody had to be told.
func TestAFullDisk(t *testing.T) {
	const inside = "INFERNET_TEST_RELAY_DISK"
	if os.Getenv(inside) == "" { // again, where disks can be mounted that nobody else sees
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		said, err := cmd.CombinedOutput()
		var ended *exec.ExitError
		switch {
		case err != nil && !errors.As(err, &ended), strings.Contains(string(said), "cannot mount"):
			t.Skipf("needs a system that lets one mount a disk in a namespace: %v", err)
		case err != nil:
			t.Errorf("%v\n%s", err, said)
		default:
			t.Log(string(said))
		}
		return
	}
	dir := t.TempDir()
	if err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=24m")); err != nil {
		t.Fatalf("cannot mount: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	r := start(t, func(c *Config) { c.Dir, c.KeepFree = filepath.Join(dir, "relay"), -1 })
	c, listener := dial(t, r), dial(t, r)
	request := auction(t)
	c.take(request)
	listener.say("REQ", "live", nostr.Filter{Kinds: []int{1, 20001}})
	listener.hear("EOSE")
	filler := filepath.Join(dir, "filler")
	fillDisk(t, filler)
	stored, refused, handed := 1, 0, 0
	for i, size := 0, 50_000; size > 100; i++ { // what was taken ahead is used up first
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(i, strings.Repeat("x", size)))
		ok, why := c.publish(ev)
		switch {
		case ok:
			stored++
		case !strings.HasPrefix(why, "error: the relay's disk is full; nothing is taken until there is room"):
			t.Fatalf("refused with %q", why)
		default:
			refused++
			size /= 2 // of less there may be room
		}
	}
	full := 0
	for range 50 {
		if ok, _ := c.publish(sign(t, node, 1, time.Now(), fmt.Sprint("little ", full))); ok {
			stored++
		} else {
			full++
		}
	}
	if full < 10 {
		t.Fatalf("only %d of 50 were refused", full)
	}
	if n := len(c.query(nostr.Filter{Limit: 1000})); n != stored {
		t.Errorf("%d events are served of %d", n, stored)
	}
	if r.well(ctx) == nil {
		t.Error("a relay on a full disk calls itself well")
	}
	c.take(sign(t, node, 20001, time.Now(), "ephemeral"))
	for !strings.Contains(string(listener.hear("EVENT")[2]), "ephemeral") {
		handed++
	}
	if more := handed - (stored - 1); more > refused { // one each time that the disk was found full: who comes first finds out
		t.Errorf("%d that were refused were handed on", more)
	}
	offer := signed(t, node, &events.Offer{Head: head(), Job: events.ID(request.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree})
	for range maxOffers + 3 {
		c.refuses(offer, "error: the relay's disk is full")
	}
	if all, err := r.Import(ctx, strings.NewReader(sign(t, node, 1, time.Now(), "imported").String()+"\n")); err == nil {
		t.Errorf("an import goes on: %+v", all)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := r.well(ctx); err != nil {
		t.Errorf("with room again: %v", err)
	}
	c.take(offer)
	c.take(sign(t, node, 1, time.Now(), "room again"))
	if ev := listener.hear("EVENT"); !strings.Contains(string(ev[2]), "room again") {
		t.Errorf("the listener heard %s", ev[2])
	}
	t.Logf("%d stored and served, %d refused, of which %d found out that it is full", stored, refused+full, refused)
}

func fillDisk(t *testing.T, path string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
