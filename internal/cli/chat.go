package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
)

// maxHistory bounds the turns that travel with each new one, in bytes of JSON: the oldest go first.
const maxHistory = 30_000

// turn is one message of a conversation, as the messages parameter takes it.
type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// chat is one conversation.
type chat struct {
	*app
	cmd   *cobra.Command
	order *orderFlags
	buyer *consumer.Consumer

	turns  []turn
	node   events.PubKey // who answered last, and is asked again
	model  string        // what /model chose; "" is the setting
	bought int
	spent  events.Msat
	file   string
}

func (a *app) chatCommand() *cobra.Command {
	var o orderFlags
	var goOn bool
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Talk with a model, turn by turn, each turn a job",
		Long: "Reads a line, buys the answer with all that was said before, streams it, and reads the next. Jobs go directly and encrypted\n" +
			"to one node, the cheapest that is alive unless --node names one; --way auction asks all of them, in the open.\n\n" +
			"A line that begins with / is a command: /model [ID] shows or changes the model, /cost says what was paid, /new forgets\n" +
			"what was said, /quit ends. The conversation is kept in the data folder; --continue goes on with it.",
		Example:     "infernet chat --model echo",
		Annotations: says("job, node, model, content, usage (in, out), pay, paid_msat, payment_hash, preimage, receipt, first_ms (of a stream that was watched), took_ms, files (address, type, file); one for each turn"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := a.firstOrder(cmd, &o); err != nil { // wrong flags are said before the first line is typed
				return err
			}
			c := &chat{app: a, cmd: cmd, order: &o, file: a.settings.path("chat.json")}
			if goOn {
				if err := c.load(); err != nil {
					return err
				}
			}
			buyer, done, err := a.buyer(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			c.buyer = buyer
			return c.talk(cmd.Context())
		},
	}
	o.add(cmd)
	cmd.Flags().Lookup("way").DefValue = consumer.Direct
	cmd.Flags().BoolVar(&goOn, "continue", false, "go on with the last conversation")
	return cmd
}

// firstOrder makes the order of a first turn.
func (a *app) firstOrder(cmd *cobra.Command, o *orderFlags) (consumer.Order, error) {
	if o.kind != events.KindText {
		return consumer.Order{}, withHint(usage("--kind %d: a conversation is of text, %d", o.kind, events.KindText), "infernet run --kind %d %s", o.kind, quoted(tryPrompt))
	}
	if a.settings.source["run.way"] == "default" {
		a.settings.put("run.way", consumer.Direct, "chat")
	}
	return a.order(cmd, o, "hello")
}

// talk takes lines until there are no more. A turn that fails is said, and the next line is read; where nobody types, that
// some failed is the end's error.
func (c *chat) talk(ctx context.Context) error {
	in := c.newLines("> ")
	lines, failed, last := 0, 0, error(nil)
	end := func() error {
		if failed == 0 || in.editor != nil {
			return nil
		}
		return fmt.Errorf("%d of %d lines failed; the last: %w", failed, lines, last)
	}
	for {
		line, err := in.next(ctx)
		if errors.Is(err, io.EOF) {
			return end()
		}
		if err != nil {
			return err
		}
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		lines++
		done := false
		if strings.HasPrefix(line, "/") {
			done, err = c.command(ctx, line)
		} else {
			err = c.say(ctx, line)
		}
		if err != nil && ctx.Err() != nil {
			return err
		}
		if err != nil {
			failed, last = failed+1, err
			c.complain(err)
		}
		if done {
			return end()
		}
	}
}

// complain shows an error that does not end the conversation.
func (c *chat) complain(err error) {
	code, message, hint := explain(err, c.args)
	if c.json {
		c.object(c.Err, map[string]any{"error": message, "hint": hint, "code": code})
		return
	}
	hint = c.callable(hint)
	fmt.Fprintf(c.Err, "infernet: %s\n", message)
	if hint != "" {
		fmt.Fprintf(c.Err, "hint: %s\n", hint)
	}
}

// command does what a line with a / asks for.
func (c *chat) command(ctx context.Context, line string) (done bool, err error) {
	name, arg, _ := strings.Cut(line, " ")
	switch arg = strings.TrimSpace(arg); name {
	case "/quit", "/exit", "/bye":
		return true, nil
	case "/cost":
		fmt.Fprintf(c.Err, "%s for %d answers\n", c.spent.Human(), c.bought)
	case "/new":
		c.turns = nil
		return false, c.save()
	case "/model":
		if arg != "" {
			c.model, c.node = strings.ToLower(arg), "" // another node may run it
			return false, nil
		}
		models, err := c.knownModels(ctx)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(c.Err, "%s; there are %s\n", or(c.model, c.settings.text("run.model"), "any model"), strings.Join(models, ", "))
	default:
		known := []string{"/model", "/cost", "/new", "/quit"}
		return false, withHint(usage("there is no %s%s", name, meant(name, known)), "%s", strings.Join(known, " "))
	}
	return false, nil
}

// say buys the answer to a line.
func (c *chat) say(ctx context.Context, line string) error {
	order, err := c.next(line)
	if err != nil {
		return err
	}
	show := c.newShower(c.order.verbose)
	show.turn = true
	show.plain, show.poor, show.free = order.Way == consumer.Plain, c.buyer.Wallet == nil, order.MaxCost == 0
	got, err := c.buyer.Do(ctx, order, show.step)
	if err := show.end(got, err); err != nil {
		c.node = "" // the next turn may go elsewhere
		var refused *consumer.RefusedError
		if errors.As(err, &refused) && refused.Code == events.CodeTooLarge && len(c.turns) > 0 {
			return withHint(err, "/new")
		}
		return err
	}
	c.bought++
	c.spent += got.Paid
	c.node = got.Node
	c.turns = append(c.turns, turn{"user", line}, turn{"assistant", got.Text})
	return c.save()
}

// next is the order of a turn: what was said before, then the line.
func (c *chat) next(line string) (consumer.Order, error) {
	order, err := c.app.order(c.cmd, c.order, line)
	if err != nil {
		return order, err
	}
	if order.Way == consumer.Direct && order.Node == "" && order.Hedge == 0 {
		order.Node = c.node
	}
	set := func(name, value string) {
		for i := range order.Params {
			if order.Params[i].Name == name {
				order.Params[i].Values = []string{value}
				return
			}
		}
		order.Params = append(order.Params, events.Param{Name: name, Values: []string{value}})
	}
	if c.model != "" {
		set("model", c.model)
	}
	history, cut, err := c.history()
	if err != nil {
		return order, err
	}
	if cut > 0 {
		fmt.Fprintf(c.Err, "the first %d of %d messages no longer travel with this one\n", cut, len(c.turns))
	}
	if history != "" {
		set("messages", history)
	}
	return order, events.Kinds[order.Kind].Check(&events.Request{Kind: order.Kind, Inputs: order.Inputs, Params: order.Params})
}

// history is what was said, as the messages parameter takes it, without its first turns if it would be too long.
func (c *chat) history() (messages string, cut int, err error) {
	for cut = 0; cut < len(c.turns); cut += 2 {
		body, err := json.Marshal(c.turns[cut:])
		if err != nil {
			return "", 0, err
		}
		if len(body) <= maxHistory {
			return string(body), cut, nil
		}
	}
	return "", cut, nil
}

// save keeps the conversation, whole or as it was.
func (c *chat) save() error {
	body, err := json.MarshalIndent(c.turns, "", "\t")
	if err != nil {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(c.file), "chat") // readable by its owner only
	if err != nil {
		return fmt.Errorf("keep the conversation: %w", err)
	}
	_, err = part.Write(append(body, '\n'))
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), c.file)
	}
	if err != nil {
		os.Remove(part.Name())
		return fmt.Errorf("keep the conversation: %w", err)
	}
	return nil
}

// load reads the last conversation.
func (c *chat) load() error {
	body, err := os.ReadFile(c.file)
	if errors.Is(err, os.ErrNotExist) {
		return withHint(usage("there is no conversation to go on with"), "infernet chat")
	}
	if err == nil {
		err = json.Unmarshal(body, &c.turns)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.file, err)
	}
	fmt.Fprintf(c.Err, "%d messages so far\n", len(c.turns))
	return nil
}
