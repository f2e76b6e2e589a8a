package notify

import (
	"bufio"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// shown is a stand-in for the part of a desktop that shows notices.
type shown chan []any

func (s shown) Notify(app string, _ uint32, icon, title, body string, _ []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	s <- []any{app, title, body, hints["urgency"].Value()}
	return 1, nil
}

// TestDesktop shows a notice over a real session bus.
func TestDesktop(t *testing.T) {
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs dbus-daemon (Debian: dbus-daemon)")
	}
	cmd := exec.Command(daemon, "--session", "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	ok(t, err)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(address))
	n := Notice{Level: Urgent, Title: "GPU lost", Text: "<b>bold</b> & plain"}
	ok(t, Desktop{}.Send(t.Context(), n)) // nobody shows notices on this bus

	bus, err := dbus.Connect(strings.TrimSpace(address))
	ok(t, err)
	defer bus.Close()
	got := make(shown, 1)
	ok(t, bus.Export(got, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"))
	if reply, err := bus.RequestName("org.freedesktop.Notifications", dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("name: %v, %v", reply, err)
	}
	ok(t, Desktop{}.Send(t.Context(), n))
	have := <-got
	if have[0] != "infernet" || have[1] != n.Title || have[2] != "&lt;b&gt;bold&lt;/b&gt; &amp; plain" || have[3] != byte(2) {
		t.Errorf("shown: %v", have)
	}
}

func TestWithoutADesktopItIsQuiet(t *testing.T) {
	if runtime.GOOS == "darwin" {
		t.Skip("needs a machine without a desktop")
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+t.TempDir()+"/none")
	ok(t, Desktop{}.Send(t.Context(), Notice{Title: "a"}))
}
