package notify

import (
	"fmt"
	"os"
	"strings"
)

// sessionBus is the address of the session's D-Bus, "" if there is none: the environment's, or else systemd's own place.
func sessionBus() string {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address
	}
	path := fmt.Sprintf("/run/user/%d/bus", os.Getuid())
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return "unix:path=" + path
}

// plain keeps a text from being read as markup, which the body of a notification may be.
func plain(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}
