package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"
)

// target is what a decision of a relay's operator is about.
type target struct {
	sort  string // key, event, kind or address
	value any    // as NIP-86 takes it
}

// readTarget reads a key (npub or hex), an event (note, nevent or event:hex), a kind (a number) or an address or a network.
func readTarget(text string) (target, error) {
	if id, ok := strings.CutPrefix(text, "event:"); ok && len(id) == 64 && strings.Trim(id, "0123456789abcdef") == "" {
		return target{"event", id}, nil
	}
	if strings.HasPrefix(text, "note1") || strings.HasPrefix(text, "nevent1") {
		_, decoded, err := nip19.Decode(text)
		switch event := decoded.(type) {
		case string:
			if err == nil {
				return target{"event", event}, nil
			}
		case nostr.EventPointer:
			return target{"event", event.ID}, nil
		}
		return target{}, usage("%q is no event that can be read", text)
	}
	if kind, err := strconv.Atoi(strings.TrimPrefix(text, "kind:")); err == nil {
		if kind < 0 || kind > 65535 {
			return target{}, usage("kind %d: kinds are 0 to 65535", kind)
		}
		return target{"kind", kind}, nil
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return target{"address", text}, nil
	}
	if _, err := netip.ParsePrefix(text); err == nil {
		return target{"address", text}, nil
	}
	if key, err := publicKey(text); err == nil && key != "" {
		return target{"key", string(key)}, nil
	}
	return target{}, usage("%q is no key (npub or 64 hex characters), event (note…, nevent…, event:hex), kind (a number) or address (192.0.2.1, 192.0.2.0/24)", text)
}

// decisions are the methods of NIP-86 for each command and what it is about.
var decisions = map[string]map[string]string{
	"ban":     {"key": "banpubkey", "event": "banevent", "kind": "disallowkind", "address": "blockip"},
	"unban":   {"key": "unbanpubkey", "event": "unbanevent", "kind": "allowkind", "address": "unblockip"},
	"allow":   {"key": "allowpubkey", "event": "allowevent", "kind": "allowkind"},
	"unallow": {"key": "unallowpubkey", "event": "unallowevent", "kind": "disallowkind"},
}

const targets = "WHAT is a key (npub or hex), an event (note…, nevent… or event:hex), a kind (a number) or an address or network (192.0.2.0/24)."

func (a *app) relayDecideCommand(name, short, long, example string) *cobra.Command {
	var why string
	cmd := &cobra.Command{
		Use: name + " WHAT", Short: short, Long: long + "\n\n" + targets + " It counts at once and outlives a restart, is kept in rules.json beside the events,\n" +
			"and is asked of the relay by NIP-86: of that of the data folder, running or not, or the one at --relay.",
		Example: example, Annotations: says("method, what"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := readTarget(args[0])
			if err != nil {
				return err
			}
			method := decisions[name][t.sort]
			if method == "" {
				return withHint(usage("%s: an address is only blocked, or not", name), "infernet relay unban %s", args[0])
			}
			with := []any{t.value}
			if why != "" && t.sort != "kind" {
				with = append(with, why)
			}
			return a.operating(cmd.Context(), func(o operator, at string) error {
				if _, err := manage(cmd.Context(), o, method, with...); err != nil {
					return err
				}
				if a.json {
					a.object(a.Out, map[string]any{"method": method, "what": t.value})
					return nil
				}
				a.tell("done   ", "%s %v%s", method, t.value, where(at))
				return nil
			})
		},
	}
	if name == "ban" || name == "allow" {
		cmd.Flags().StringVar(&why, "why", "", "the reason; of a ban, who is banned hears it")
	}
	return cmd
}

func where(at string) string {
	if at == "" {
		return ", once the relay runs"
	}
	return " at " + at
}

// manage asks for a method of NIP-86.
func manage(ctx context.Context, o operator, method string, with ...any) (json.RawMessage, error) {
	params := []json.RawMessage{}
	for _, v := range with {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		params = append(params, raw)
	}
	result, err := o.Manage(ctx, method, params)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

func (a *app) relayDecideCommands() []*cobra.Command {
	return []*cobra.Command{
		a.relayDecideCommand("ban", "Keep a key, an event, a kind or an address out",
			"A banned key publishes nothing any more, and what it has published is not shown while the ban holds. A banned event is taken\n"+
				"off the disk. Connections from a blocked address end.",
			"infernet relay ban npub1xtscya34g58tk0z605fvr788k263gsu6cy9x0mhnm87echrgufzsevkk5s --why 'floods'\ninfernet relay ban 192.0.2.0/24\ninfernet relay ban 30023"),
		a.relayDecideCommand("unban", "Take a ban back", "What a banned key has published is shown again. A banned event may be published again.",
			"infernet relay unban 192.0.2.0/24"),
		a.relayDecideCommand("allow", "Let a key or a kind in",
			"A key that is let in needs no work and may publish where relay.writers is allowed. A kind is taken whatever relay.kinds\nsays. To allow an event answers the reports of it.",
			"infernet relay allow npub1xtscya34g58tk0z605fvr788k263gsu6cy9x0mhnm87echrgufzsevkk5s"),
		a.relayDecideCommand("unallow", "Let a key or a kind in no more", "The key is not banned: it is one like any other. The kind is not taken.",
			"infernet relay unallow 30023"),
		a.relayListCommand(),
	}
}

// listed are the lists that an operator has, in the words of the commands.
var listed = []struct{ method, sort, state, field string }{
	{"listbannedpubkeys", "key", "banned", "pubkey"}, {"listallowedpubkeys", "key", "allowed", "pubkey"},
	{"listbannedevents", "event", "banned", "id"}, {"listallowedevents", "event", "allowed", "id"},
	{"listeventsneedingmoderation", "event", "reported", "id"},
	{"listallowedkinds", "kind", "allowed", ""}, {"listdisallowedkinds", "kind", "banned", ""},
	{"listblockedips", "address", "banned", "ip"},
}

func (a *app) relayListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Who and what is banned and let in, and what was reported",
		Long: "Lists the decisions that hold at the relay of the data folder, or at --relay, and the events that somebody has reported (NIP-56)\n" +
			"and that are neither banned nor allowed.",
		Example:     "infernet relay list",
		Annotations: says("sort (key, event, kind, address), state (banned, allowed, reported), what, why"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.operating(cmd.Context(), func(o operator, _ string) error { return a.listDecisions(cmd.Context(), o) })
		},
	}
}

func (a *app) listDecisions(ctx context.Context, o operator) error {
	var rows [][4]string
	for _, l := range listed {
		raw, err := manage(ctx, o, l.method)
		if err != nil {
			return err
		}
		if l.field == "" {
			var kinds []int
			if err := json.Unmarshal(raw, &kinds); err != nil {
				return fmt.Errorf("%s: %w", l.method, err)
			}
			for _, kind := range kinds {
				rows = append(rows, [4]string{l.sort, l.state, strconv.Itoa(kind), ""})
			}
			continue
		}
		var all []map[string]string
		if err := json.Unmarshal(raw, &all); err != nil {
			return fmt.Errorf("%s: %w", l.method, err)
		}
		for _, entry := range all {
			rows = append(rows, [4]string{l.sort, l.state, entry[l.field], entry["reason"]})
		}
	}
	if a.json {
		for _, r := range rows {
			a.object(a.Out, map[string]string{"sort": r[0], "state": r[1], "what": r[2], "why": r[3]})
		}
		return nil
	}
	return a.columns("SORT\tSTATE\tWHAT\tWHY", func(w io.Writer) {
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r[0], r[1], cell(r[2]), cell(r[3]))
		}
	})
}
