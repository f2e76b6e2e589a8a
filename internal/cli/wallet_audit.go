package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/internal/audit"
	"infernet/internal/ledger"
	"infernet/wallet"
)

func (a *app) walletAuditCommand() *cobra.Command {
	var since string
	var shared bool
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Hold ledgers, signed events and wallets against each other",
		Long: "Asks each wallet here for its own books, and holds them against what the ledgers and the events in them say: every satoshi in\n" +
			"or out has its job, every job its payment. What jobs are paid from is held against customer.db, what the node is paid into\n" +
			"against node.db. It changes nothing, and can be given while everything runs.\n\n" +
			"Differences are listed, and then the exit code is 18. A payment that names no job is one, too; with --shared, for a wallet\n" +
			"that is used for other things besides, it is only counted. --since judges only what is not older than a day (2026-01-31) or\n" +
			"so long (720h): for a wallet that took another's place.",
		Example: "infernet wallet audit",
		Annotations: says("wallet, of (list: customer, node), jobs, in, out, files, apps, outside (each payments, amount_msat, fees_msat), open (list: job, way, amount_msat), " +
			"differences (list: text, job, role, way, payment_hash, amount_msat, at); for each wallet"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, err := parseSince(since, time.Now())
			if err != nil {
				return err
			}
			return a.walletAudit(cmd.Context(), from, shared)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "judge only what is not older than this day or duration")
	cmd.Flags().BoolVar(&shared, "shared", false, "the wallet is used for other things, too: what names no job is only counted")
	return cmd
}

// parseSince reads a day, in this machine's zone, or how long ago.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	day, err := time.ParseInLocation(time.DateOnly, s, time.Local)
	if err != nil || day.After(now) {
		return day, withHint(usage("--since %s: no day of the past, and no duration", s), "infernet wallet audit --since 720h")
	}
	return day, nil
}

// purse is one side of the market in this data folder: a ledger, and the wallet that its money moves through.
type purse struct {
	role    ledger.Role
	name    string // customer, node
	setting string
	made    string // the wallet that 'infernet up' makes
	facts   []audit.Fact
	wrong   []audit.Difference
}

func (a *app) purses() []*purse {
	return []*purse{
		{role: ledger.Customer, name: "customer", setting: "wallet", made: a.settings.path("customer.wallet")},
		{role: ledger.Provider, name: "node", setting: "provide.wallet", made: a.settings.path("node.wallet")},
	}
}

func (a *app) walletAudit(ctx context.Context, since time.Time, shared bool) error {
	purses := a.purses()
	for _, p := range purses {
		if err := a.readPurse(ctx, p); err != nil {
			return err
		}
	}
	differences, looked := 0, 0
	for _, group := range a.byWallet(purses) {
		r, w, err := a.auditWallet(ctx, group, purses, since)
		if err != nil {
			return err
		}
		if r == nil {
			continue
		}
		looked++
		outside := audit.Sum{}
		if shared {
			r.Differences = slices.DeleteFunc(r.Differences, func(d audit.Difference) bool {
				if d.Outside {
					outside.Payments++
					outside.Amount += d.Amount
				}
				return d.Outside
			})
		}
		differences += len(r.Differences)
		a.showAudit(w, group, r, outside)
	}
	if looked == 0 && !a.json {
		fmt.Fprintf(a.Err, "nothing to audit: no money has moved in the data folder %s\n", a.settings.text("data_dir"))
	}
	if differences > 0 {
		return fmt.Errorf("%w: %d", errDiffers, differences)
	}
	return nil
}

// readPurse reads what a ledger says; one that is not there says nothing.
func (a *app) readPurse(ctx context.Context, p *purse) error {
	path := a.settings.path(p.name + ".db")
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	l, err := ledger.Open(path)
	if err != nil {
		return err
	}
	defer l.Close()
	key := a.settings.path("node.key")
	if p.role == ledger.Customer {
		key = a.settings.text("run.key")
	}
	var signer events.Signer
	if key != "" {
		s, done, err := a.signer(ctx, key)
		if err != nil {
			return err
		}
		defer done()
		signer = s
	}
	read := audit.Node
	if p.role == ledger.Customer {
		read = audit.Customer
	}
	p.facts, p.wrong, err = read(ctx, l, signer)
	return err
}

// byWallet puts together whose money moves through the same wallet.
func (a *app) byWallet(purses []*purse) (groups [][]*purse) {
	at := map[string]int{}
	for _, p := range purses {
		address := a.walletAddress(p)
		if i, ok := at[address]; ok && address != "" {
			groups[i] = append(groups[i], p)
			continue
		}
		at[address] = len(groups)
		groups = append(groups, []*purse{p})
	}
	return groups
}

// walletAddress is what a purse's setting leads to; "" if nothing.
func (a *app) walletAddress(p *purse) string {
	at := a.settings.text(p.setting)
	if at == "" {
		at = "file:" + p.made
	}
	if path, filed := strings.CutPrefix(at, "file:"); filed {
		at, _ = readSecret(path) // opening it says what is wrong
	}
	return at
}

// auditWallet audits one wallet; the report is nil where there is none, and nothing that it should know of.
func (a *app) auditWallet(ctx context.Context, group, all []*purse, since time.Time) (*audit.Report, wallet.Wallet, error) {
	scope := audit.Scope{Books: audit.Books{}, Since: since}
	var wrong []audit.Difference
	for _, p := range group {
		scope.Facts = append(scope.Facts, p.facts...)
		wrong = append(wrong, p.wrong...)
	}
	w, err := a.openWallet(ctx, group[0].setting, group[0].made)
	if err != nil {
		return nil, nil, err
	}
	if w == nil {
		if len(scope.Facts)+len(wrong) == 0 {
			return nil, nil, nil
		}
		return nil, nil, withHint(fmt.Errorf("%w: %s.db knows of %d payments, and there is no wallet to ask", wallet.ErrUnavailable, group[0].name, len(scope.Facts)),
			"%s", remark(a.settings.edit(0), group[0].setting+" names the wallet"))
	}
	defer w.Close()
	if err := a.readBooks(ctx, w, &scope); err != nil {
		return nil, nil, err
	}
	for _, p := range all { // again: what began meanwhile is not to look like a payment without a job
		now := *p
		if err := a.readPurse(ctx, &now); err != nil {
			return nil, nil, err
		}
		scope.Known = append(scope.Known, now.facts...)
	}
	if scope.Apps, err = a.appHashes(); err != nil {
		return nil, nil, err
	}
	r := audit.Compare(scope)
	wrong = slices.DeleteFunc(wrong, func(d audit.Difference) bool { return d.At.Before(since) })
	r.Differences = append(wrong, r.Differences...)
	slices.SortStableFunc(r.Differences, func(x, y audit.Difference) int { return x.At.Compare(y.At) })
	return r, w, nil
}

// readBooks asks a wallet for its books, both ways. One of them may not be for this program to see.
func (a *app) readBooks(ctx context.Context, w wallet.Wallet, s *audit.Scope) error {
	lists, ok := w.(wallet.Lister)
	if !ok {
		return usage("%s does not show its books", w.Describe())
	}
	since := s.Since
	if !since.IsZero() {
		since = since.Add(-24 * time.Hour) // its clock is another
	}
	for _, way := range []wallet.Way{wallet.In, wallet.Out} {
		found, err := lists.Entries(ctx, way, since)
		if errors.Is(err, wallet.ErrUnsupported) {
			if slices.ContainsFunc(s.Facts, func(f audit.Fact) bool { return f.Way == way && f.Expect == audit.Paid }) {
				return fmt.Errorf("what went %s: %w", way, err)
			}
			a.log.Info("the wallet does not show one way", "way", way, "err", err)
			continue
		}
		if err != nil {
			return silence(err, w)
		}
		s.Books[way] = found
	}
	return nil
}

// appHashes are what programs paid and were paid through 'infernet wallet serve'.
func (a *app) appHashes() (map[wallet.Hash]bool, error) {
	if _, err := os.Stat(a.settings.path("wallet-service.db")); err != nil {
		return nil, nil
	}
	book, err := a.walletBook()
	if err != nil {
		return nil, err
	}
	defer book.Close()
	return book.Hashes()
}

func (a *app) showAudit(w wallet.Wallet, group []*purse, r *audit.Report, outside audit.Sum) {
	names := []string{}
	for _, p := range group {
		names = append(names, p.name)
	}
	if a.json {
		open, differences := []map[string]any{}, []map[string]any{}
		for _, f := range r.Open {
			open = append(open, map[string]any{"job": f.Job, "way": f.Way, "amount_msat": f.Amount})
		}
		for _, d := range r.Differences {
			differences = append(differences, map[string]any{
				"text": d.Text, "job": d.Job, "role": d.Role, "way": d.Way, "payment_hash": hashText(d.Hash), "amount_msat": d.Amount, "at": max(0, d.At.Unix()),
			})
		}
		a.object(a.Out, map[string]any{
			"wallet": w.Describe(), "of": names, "jobs": r.Jobs, "in": r.In, "out": r.Out, "files": r.Files, "apps": r.Apps, "outside": outside,
			"open": open, "differences": differences,
		})
		return
	}
	fmt.Fprintf(a.Out, "%s (%s)\n", w.Describe(), strings.Join(names, ", "))
	for _, line := range []struct {
		name string
		sum  audit.Sum
	}{{"in", r.In}, {"out", r.Out}, {"files", r.Files}, {"apps", r.Apps}, {"other", outside}} {
		if line.sum.Payments > 0 {
			fmt.Fprintf(a.Out, "  %-6s %s in %d payments, fees %s\n", line.name, line.sum.Amount.Human(), line.sum.Payments, line.sum.Fees.Human())
		}
	}
	fmt.Fprintf(a.Out, "  jobs   %d that moved money, %d open\n", r.Jobs, len(r.Open))
	for _, d := range r.Differences {
		when, job, hash := "", "", ""
		if d.At.Unix() > 0 {
			when = d.At.Local().Format("2006-01-02 15:04") + " "
		}
		if d.Job != "" {
			job = "job " + cutKey(string(d.Job)) + ": "
		}
		if d.Hash != (wallet.Hash{}) {
			hash = " (payment hash " + cutKey(d.Hash.String()) + ")"
		}
		fmt.Fprintf(a.Out, "  differs %s%s%s%s\n", when, job, d.Text, hash)
	}
}

func hashText(h wallet.Hash) string {
	if h == (wallet.Hash{}) {
		return ""
	}
	return h.String()
}
