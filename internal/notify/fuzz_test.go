package notify

import (
	"strings"
	"testing"
	"time"
)

// FuzzHours reads anything as quiet hours: what reads is right about every minute of a day.
func FuzzHours(f *testing.F) {
	for _, s := range []string{"", "22:00-07:00", "7:00 - 8:30", "00:00-00:00", "24:00-1:00", "22:00", "-", "22:00-07:00-1", "1:2-3:4"} {
		f.Add(s, "UTC")
	}
	f.Add("22:00-07:00", "Europe/Berlin")
	f.Add("22:00-07:00", "../../etc/passwd")
	f.Fuzz(func(t *testing.T, text, zone string) {
		h, err := ParseHours(text, zone)
		if err != nil {
			return
		}
		inside := 0
		for m := range 24 * 60 {
			if h.Has(time.Date(2026, 1, 15, 0, m, 0, 0, time.UTC)) {
				inside++
			}
		}
		if empty := strings.TrimSpace(text) == ""; empty != (inside == 0) {
			t.Fatalf("%q has %d minutes of a day", text, inside)
		}
	})
}

// FuzzWebhook reads anything as a webhook's address: what passes is HTTP to some host, and no error shows a password.
func FuzzWebhook(f *testing.F) {
	for _, s := range []string{"https://hooks.example/x?token=abc", "http://u:secret@h/%zz", "ftp://h", "https:///x", "", "http://[::1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := CheckWebhook(s)
		if err != nil {
			if len(s) > 40 && strings.Contains(err.Error(), s) {
				t.Fatalf("the error shows the address: %v", err)
			}
			return
		}
		if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			t.Fatalf("%q passes as %v", s, u)
		}
	})
}
