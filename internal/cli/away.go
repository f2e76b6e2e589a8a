package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// noRelayError says that none of the relays answers, and why the last of them does not.
type noRelayError struct {
	relays []string
	why    error
}

func (e *noRelayError) Error() string {
	return fmt.Sprintf("%v at %s: %s", errNoRelay, strings.Join(e.relays, ", "), shortly(e.why))
}

func (e *noRelayError) Is(target error) bool { return target == errNoRelay }

// hint is what helps against that.
func (e *noRelayError) hint(args []string) string {
	var dns *net.DNSError
	switch {
	case errors.As(e.why, &dns) && dns.IsNotFound:
		return remark("getent hosts "+quoted(dns.Name), "without an answer the name is mistyped, or the network is away")
	case noTLS(e.why) && len(e.relays) == 1:
		return again(args, "--relay", strings.Replace(e.relays[0], "wss://", "ws://", 1))
	}
	return remark("infernet up", "or name another relay: --relay wss://relay.example")
}

// noTLS says whether the other side speaks, but no TLS.
func noTLS(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) || errors.Is(err, http.ErrSchemeMismatch)
}

// shortly is why nobody was reached, without the chain of those who tried.
func shortly(err error) string {
	var dns *net.DNSError
	var number syscall.Errno
	var inner *url.Error
	switch {
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		return "it says nothing"
	case noTLS(err):
		return "it does not speak TLS; is ws:// meant?"
	case errors.As(err, &dns):
		return "there is no host " + dns.Name
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &inner):
		return inner.Err.Error()
	}
	return err.Error()
}
