package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"infernet/consumer"
	"infernet/consumer/quorum"
	"infernet/engine"
	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/bunker"
	"infernet/internal/guard"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// Exit codes. They are part of the interface: scripts test for them.
const (
	exitError       = 1
	exitUsage       = 2
	exitNoOffers    = 10
	exitUnpaid      = 11
	exitFailed      = 12
	exitVanished    = 13
	exitBad         = 14
	exitNoRelay     = 15
	exitNoWallet    = 16
	exitNoEngine    = 17
	exitDiffers     = 18
	exitInterrupted = 130
)

const exitCodes = `Exit codes: 0 done, 1 error, 2 wrong usage or settings, 10 no offers, 11 not paid, 12 the job failed or was refused,
13 the node fell silent, 14 a bad result or invoice was refused or a fraud proven, 15 no relay or file server answers,
16 no wallet answers, 17 no engine answers, 18 the books differ, 130 interrupted.`

var (
	errInterrupted = errors.New("interrupted")
	errNoRelay     = errors.New("no relay answers")
	errFraud       = errors.New("fraud")
	errDiffers     = errors.New("the books differ")
)

// usageError is a wrong flag, argument or setting.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (e *hinted) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// explain gives an error's exit code, its text, and a hint that can be pasted: the error's own, if it has one. args are
// what was typed.
func explain(err error, args []string) (code int, message, hint string) {
	code, hint = meaning(err, args)
	var own *hinted
	if errors.As(err, &own) {
		hint = own.hint
	}
	message, said, ok := strings.Cut(err.Error(), "; hint: ") // the parts below write theirs into the text
	if ok {
		hint = said
	}
	return code, harmless(hide(message)), harmless(hide(hint))
}

func meaning(err error, args []string) (code int, hint string) {
	var (
		wrong     *usageError
		disagree  *quorum.DisagreeError
		none      *consumer.NoOffersError
		left      *consumer.LeftError
		cancelled *consumer.CancelledError
		held      *heldError
		folder    *dataDirError
		refused   *consumer.RefusedError
		vanished  *consumer.VanishedError
		invoice   *consumer.BadInvoiceError
		result    *consumer.BadResultError
		param     *events.ParamError
		other     *wrongFile
		dear      *blob.DearError
		server    *noServerError
	)
	switch {
	case errors.As(err, &wrong):
		return exitUsage, helpOf(args)
	case errors.As(err, &other):
		return exitUsage, other.hint(args)
	case errors.As(err, &param):
		return exitUsage, helpOf(args)
	case errors.As(err, &left) && left.Back:
		return exitInterrupted, "infernet job show " + cutKey(string(left.Job))
	case errors.As(err, &left) && left.Held:
		return exitInterrupted, remark("infernet job watch "+cutKey(string(left.Job)), "until the money is back")
	case errors.As(err, &left):
		return exitInterrupted, fmt.Sprintf("infernet job watch %s  # or: infernet job cancel %[1]s", cutKey(string(left.Job)))
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted, ""
	case errors.As(err, &none):
		switch {
		case len(none.Near) > 0:
			return exitNoOffers, again(args, "--model", none.Near[0])
		case len(none.Dear) > 0:
			return exitNoOffers, again(args, "--max-cost", fmt.Sprint(int64(none.Dear[0].Cap.CeilSat()/events.Sat)))
		case len(none.Risky) > 0:
			return exitNoOffers, remark(again(args, "--pay", none.Risky[0].Pay), "if you trust it with so much")
		}
		if none.About > none.MaxCost {
			return exitNoOffers, remark(again(args, "--max-cost", fmt.Sprint(int64(none.About/events.Sat)*5/4+1)), "what nodes ask: infernet market prices")
		}
		if none.Quiet != "" && none.Window > 0 {
			return exitNoOffers, remark(again(args, "--window", max(5*time.Second, 4*none.Window).String()), "offers are waited for longer; or --first: the first is taken")
		}
		return exitNoOffers, "infernet market nodes"
	case errors.As(err, &vanished):
		if vanished.Paid > 0 {
			return exitVanished, "infernet job watch " + cutKey(string(vanished.Job))
		}
		return exitVanished, "infernet job show " + cutKey(string(vanished.Job))
	case errors.As(err, &cancelled):
		return exitFailed, "infernet job show " + cutKey(string(cancelled.Job))
	case errors.Is(err, errFraud):
		return exitBad, remark("infernet market nodes", "buy from another with --node")
	case errors.Is(err, errDiffers):
		return exitDiffers, "infernet wallet audit --json"
	case errors.As(err, &invoice), errors.As(err, &result):
		return exitBad, remark("infernet market nodes", "buy from another with --node")
	case errors.As(err, &refused) && refused.Code == events.CodeUnderbid:
		return exitFailed, remark("infernet market prices", "and raise --max-cost")
	case errors.As(err, &refused) && refused.Owed > 0:
		return exitFailed, "infernet wallet withdraw " + cutKey(string(refused.Job))
	case errors.As(err, &disagree):
		return exitBad, remark("infernet market known", "who said what most did not")
	case errors.Is(err, ledger.ErrBudget):
		return exitUnpaid, "infernet costs"
	case batchCode(err) != 0:
		return batchCode(err), ""
	case errors.As(err, &refused):
		return exitFailed, "infernet market models"
	case errors.Is(err, consumer.ErrUnknownNode):
		return exitNoOffers, "infernet market nodes"
	case errors.As(err, &dear):
		return exitUnpaid, again(args, "--max-cost", fmt.Sprint(int64((dear.Most-dear.Left+dear.Asked).CeilSat()/events.Sat)))
	case errors.Is(err, wallet.ErrInsufficient):
		return exitUnpaid, "infernet wallet balance"
	case errors.Is(err, wallet.ErrRejected), errors.Is(err, wallet.ErrExpired):
		return exitUnpaid, "infernet job show last"
	case errors.Is(err, wallet.ErrInFlight):
		return exitUnpaid, "infernet job watch last"
	case errors.Is(err, wallet.ErrUnavailable):
		return exitNoWallet, "infernet doctor"
	case errors.Is(err, bunker.ErrUnavailable), errors.Is(err, bunker.ErrRefused):
		return exitError, "infernet key --help"
	case errors.As(err, &server):
		return exitNoRelay, server.hint(args)
	case errors.Is(err, errNoRelay):
		away := &noRelayError{}
		errors.As(err, &away)
		return exitNoRelay, away.hint(args)
	case errors.Is(err, engine.ErrUnavailable):
		return exitNoEngine, "infernet doctor"
	case errors.Is(err, guard.ErrBlocked):
		return exitError, remark(again(args, "--server", "http://HOST"), "a server that you trust, in a private network")
	case errors.As(err, &folder):
		return exitError, again(args, "--data-dir", folder.home)
	case errors.As(err, &held):
		if held.part == "relay" && held.at != "" && len(args) > 0 && args[0] == "up" {
			return exitError, fmt.Sprintf("infernet run --relay %s %s", held.at, quoted(tryPrompt))
		}
		return exitError, again(args, "--data-dir", held.dir+"-2")
	case errors.Is(err, syscall.EADDRINUSE):
		return exitError, remark(again(args, "--listen", "127.0.0.1:0"), "port 0 takes a free one")
	}
	return exitError, ""
}

// remark puts a remark behind a command, as a shell reads it.
func remark(command, text string) string { return command + "  # " + text }

// helpOf is the command that explains what was typed.
func helpOf(args []string) string {
	cmd, _, err := (&app{}).root().Find(args)
	if err != nil || cmd == nil {
		return "infernet --help"
	}
	return cmd.CommandPath() + " --help"
}
