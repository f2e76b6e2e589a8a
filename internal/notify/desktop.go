package notify

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/godbus/dbus/v5"
)

// Desktop shows notices on this machine's desktop: by D-Bus where there is a session bus (the freedesktop notification
// specification), by osascript on macOS. Where there is no desktop it is quiet.
type Desktop struct{}

var _ Way = Desktop{}

// Name names the way.
func (Desktop) Name() string { return "desktop" }

// Send shows a notice.
func (Desktop) Send(ctx context.Context, n Notice) error {
	if runtime.GOOS == "darwin" {
		return script(ctx, n)
	}
	address := sessionBus()
	if address == "" {
		return nil
	}
	bus, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return nil // a bus that is left over from a session which has ended
	}
	defer bus.Close()
	urgency := map[Level]byte{Info: 0, Warning: 1, Urgent: 2}[n.Level]
	call := bus.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications").CallWithContext(ctx,
		"org.freedesktop.Notifications.Notify", 0, "infernet", uint32(0), "", n.Title, plain(n.Text), []string{},
		map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency)}, int32(-1))
	if nobody(call.Err) {
		return nil
	}
	if call.Err != nil {
		return fmt.Errorf("desktop: %w", call.Err)
	}
	return nil
}

// nobody says whether a bus has nobody who shows notices.
func nobody(err error) bool {
	e, ok := err.(dbus.Error)
	return ok && (e.Name == "org.freedesktop.DBus.Error.ServiceUnknown" || e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner")
}

// showScript shows its second argument under its first: no text of a notice becomes part of a program.
const showScript = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"

func script(ctx context.Context, n Notice) error {
	path, err := exec.LookPath("osascript")
	if err != nil {
		return nil
	}
	if out, err := exec.CommandContext(ctx, path, "-e", showScript, n.Title, n.Text).CombinedOutput(); err != nil {
		return fmt.Errorf("desktop: %w: %s", err, out)
	}
	return nil
}
