package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/internal/httpd"
)

// appSettings is an app whose settings are known here.
type appSettings struct {
	name, about string
	env         func(c connection) [][2]string        // what it reads from its environment
	file        string                                // or a file of its user's, below the home
	text        func(c connection) string             // of the file
	merge       func(c connection) map[string]any     // of a file of JSON: what is put into it
	note        func(c connection) (what, how string) // what else there is to know; how can be pasted
}

// connection is what an app is told.
type connection struct{ url, key, model string }

// knownApps are the apps, by what they speak.
var knownApps = []appSettings{
	{name: "openai", about: "OpenAI's SDKs, and whatever reads their environment", env: func(c connection) [][2]string {
		return [][2]string{{"OPENAI_BASE_URL", c.url + "/v1"}, {"OPENAI_API_KEY", c.key}}
	}},
	{name: "anthropic", about: "Anthropic's SDKs", env: func(c connection) [][2]string {
		return [][2]string{{"ANTHROPIC_BASE_URL", c.url}, {"ANTHROPIC_API_KEY", c.key}}
	}},
	{name: "claude-code", about: "Claude Code, through /v1/messages", file: ".claude/settings.json", env: claudeCode, merge: func(c connection) map[string]any {
		env := map[string]any{}
		for _, pair := range claudeCode(c) {
			env[pair[0]] = pair[1]
		}
		return map[string]any{"env": env}
	}},
	{name: "codex", about: "Codex CLI", file: ".codex/config.toml", text: func(c connection) string {
		return fmt.Sprintf("model = %q\nmodel_provider = \"infernet\"\n\n[model_providers.infernet]\nname = \"infernet\"\nbase_url = %q\nenv_key = \"INFERNET_API_KEY\"\nwire_api = \"chat\"\n", c.model, c.url+"/v1")
	}, note: func(c connection) (string, string) {
		return "it reads the key from its environment", "export INFERNET_API_KEY=" + quoted(c.key)
	}},
	{name: "opencode", about: "opencode", file: ".config/opencode/opencode.json", merge: func(c connection) map[string]any {
		return map[string]any{"provider": map[string]any{"infernet": map[string]any{
			"npm": "@ai-sdk/openai-compatible", "name": "infernet", "options": map[string]any{"baseURL": c.url + "/v1", "apiKey": c.key},
			"models": map[string]any{c.model: map[string]any{"name": c.model}},
		}}}
	}},
	{name: "aider", about: "aider", env: func(c connection) [][2]string {
		return [][2]string{{"OPENAI_API_BASE", c.url + "/v1"}, {"OPENAI_API_KEY", c.key}, {"AIDER_MODEL", "openai/" + c.model}}
	}},
	{name: "continue", about: "Continue, in an editor", file: ".continue/config.yaml", text: func(c connection) string {
		return fmt.Sprintf("name: infernet\nversion: 0.0.1\nschema: v1\nmodels:\n  - name: infernet\n    provider: openai\n    model: %q\n    apiBase: %q\n    apiKey: %q\n", c.model, c.url+"/v1", c.key)
	}},
	{name: "open-webui", about: "Open WebUI", env: func(c connection) [][2]string {
		return [][2]string{{"OPENAI_API_BASE_URL", c.url + "/v1"}, {"OPENAI_API_KEY", c.key}}
	}},
	{name: "llm", about: "Simon Willison's llm", file: ".config/io.datasette.llm/extra-openai-models.yaml", text: func(c connection) string {
		return fmt.Sprintf("- model_id: infernet\n  model_name: %q\n  api_base: %q\n", c.model, c.url+"/v1")
	}, note: func(c connection) (string, string) {
		return "then", "llm -m infernet --key " + quoted(c.key) + " 'Hello'"
	}},
	{name: "ollama", about: "tools that look for Ollama", env: func(c connection) [][2]string {
		return [][2]string{{"OLLAMA_HOST", c.url}}
	}},
	{name: "sdk", about: "infernet-sdk, the program's own", env: func(c connection) [][2]string {
		return [][2]string{{"INFERNET_URL", c.url}}
	}},
	{name: "curl", about: "anything that asks by HTTP", note: func(c connection) (string, string) {
		body := fmt.Sprintf(`{"model":%q,"messages":[{"role":"user","content":"Hello"}]}`, c.model)
		return "for example", fmt.Sprintf("curl %s/v1/chat/completions -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '%s'", c.url, c.key, body)
	}},
}

func claudeCode(c connection) [][2]string {
	return [][2]string{
		{"ANTHROPIC_BASE_URL", c.url}, {"ANTHROPIC_AUTH_TOKEN", c.key}, {"ANTHROPIC_MODEL", c.model}, {"ANTHROPIC_SMALL_FAST_MODEL", c.model},
		{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"},
	}
}

func (a *app) connectCommand() *cobra.Command {
	var c connection
	var write, fresh bool
	var day int64
	cmd := &cobra.Command{
		Use:   "connect [APP]",
		Short: "Settings with which an app buys here",
		Long: "Prints what an app has to be told so that it buys over the gateway of this data folder: lines for a shell, or a file of the\n" +
			"app's. --write puts them into its file; what else is in there stays, and the file as it was is kept beside it. Without APP it\n" +
			"lists the apps that are known here. A shell takes what is printed so: eval \"$(infernet connect openai)\".\n\n" +
			"--new-key makes an app key for it, which bounds what it may spend with --day; else the key is one that is none, which is\n" +
			"enough on this machine while gateway.keys is not set.",
		Example:     "infernet connect openai\ninfernet connect claude-code --write",
		Annotations: says("app, about, url, key, model, env, file, content, changed (those that there are)"),
		Args:        cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listApps()
			}
			i := slices.IndexFunc(knownApps, func(k appSettings) bool { return k.name == strings.ToLower(args[0]) })
			if i < 0 {
				names := make([]string, len(knownApps))
				for i, k := range knownApps {
					names[i] = k.name
				}
				err := usage("%q is no app that is known here; there are %s", args[0], strings.Join(names, ", "))
				if near := events.Near(args[0], names); len(near) > 0 {
					return withHint(err, "infernet connect %s", near[0])
				}
				return withHint(err, "infernet connect openai  # most apps speak OpenAI's API")
			}
			if day > 0 && !fresh {
				return withHint(usage("--day bounds a key of the app's own"), "infernet connect %s --new-key --day %d", knownApps[i].name, day)
			}
			return a.connectApp(cmd.Context(), knownApps[i], c, write, fresh, day)
		},
	}
	cmd.Flags().StringVar(&c.url, "url", "", "the gateway's address; that of the one that runs in the data folder if unset")
	cmd.Flags().StringVar(&c.model, "model", "", "model id; the first that the market has if unset")
	cmd.Flags().StringVar(&c.key, "key", "", "an app key that there is")
	cmd.Flags().BoolVar(&fresh, "new-key", false, "make an app key for it")
	cmd.Flags().Int64Var(&day, "day", 0, "most satoshi that the new key may spend a day")
	cmd.Flags().BoolVar(&write, "write", false, "write the app's file")
	return cmd
}

func (a *app) listApps() error {
	for _, k := range knownApps {
		if a.json {
			a.object(a.Out, map[string]string{"app": k.name, "about": k.about})
			continue
		}
		fmt.Fprintf(a.Out, "%-12s %s\n", k.name, k.about)
	}
	return nil
}

// connectApp tells an app what it needs.
func (a *app) connectApp(ctx context.Context, k appSettings, c connection, write, fresh bool, day int64) error {
	if write && k.merge == nil && k.text == nil {
		return withHint(usage("%s reads its environment: there is no file to write", k.name), "infernet connect %s", k.name)
	}
	if c.url == "" {
		var err error
		if c.url, err = a.gatewayAt(); err != nil {
			return err
		}
	}
	c.url = strings.TrimSuffix(strings.TrimRight(c.url, "/"), "/v1")
	if !strings.HasPrefix(c.url, "http://") && !strings.HasPrefix(c.url, "https://") {
		return usage("--url %s: want http://… or https://…", c.url)
	}
	if fresh {
		if c.key != "" {
			return usage("--key and --new-key: one of both")
		}
		if err := a.appKeyFor(k.name, day, &c); err != nil {
			return err
		}
	}
	if c.key == "" {
		c.key = "infernet"
		if a.settings.yes("gateway.keys") {
			a.tell("key    ", "the gateway wants one; make it: infernet connect %s --new-key", k.name)
		}
	}
	if c.model == "" {
		c.model = a.firstModel(ctx, c)
	}
	if write {
		return a.writeApp(k, c)
	}
	if a.json {
		out := map[string]any{"app": k.name, "url": c.url, "key": c.key, "model": c.model}
		if k.env != nil {
			env := map[string]string{}
			for _, pair := range k.env(c) {
				env[pair[0]] = pair[1]
			}
			out["env"] = env
		}
		if k.file != "" {
			out["file"], out["content"] = "~/"+k.file, k.content(c)
		}
		a.object(a.Out, out)
		return nil
	}
	switch {
	case k.env != nil:
		for _, pair := range k.env(c) {
			fmt.Fprintf(a.Out, "export %s=%s\n", pair[0], quoted(pair[1]))
		}
	case k.file != "":
		fmt.Fprint(a.Out, k.content(c))
		a.tell("file   ", "~/%s; --write puts it there", k.file)
	}
	if k.note != nil {
		what, how := k.note(c)
		if k.env == nil && k.file == "" {
			fmt.Fprintln(a.Out, how)
		} else {
			a.tell(fmt.Sprintf("%-7s", what), "%s", how)
		}
	}
	return nil
}

// content is the app's file, if nothing else is in it.
func (k appSettings) content(c connection) string {
	if k.merge == nil {
		return k.text(c)
	}
	body, err := marshalPlain(k.merge(c))
	if err != nil {
		panic(err) // maps of texts
	}
	return string(body)
}

// gatewayAt is where the gateway of this data folder is, or will be.
func (a *app) gatewayAt() (string, error) {
	unlock, err := a.settings.lock("gateway")
	var held *heldError
	switch {
	case errors.As(err, &held) && held.at != "":
		return held.at, nil
	case errors.As(err, &held): // of up: it is where the relay is
		if _, at, err := a.running(); err == nil {
			return strings.Replace(at, "ws", "http", 1), nil
		}
		return "", withHint(errors.New("the gateway of this data folder is only starting"), "infernet connect  # in a moment again")
	case err != nil:
		return "", err
	}
	unlock()
	listen := a.settings.text("gateway.listen")
	if strings.HasSuffix(listen, ":0") {
		return "", withHint(errors.New("no gateway runs in this data folder, and gateway.listen names no port"), "infernet gateway  # in another terminal")
	}
	a.tell("gateway", "none runs in this data folder now; start one: infernet up, or infernet gateway")
	return "http://" + listen, nil
}

// appKeyFor makes an app key for an app, bounded if day is not 0.
func (a *app) appKeyFor(name string, day int64, c *connection) error {
	if day < 0 || day > int64(events.MaxMsat/events.Sat) {
		return usage("--day: %d satoshi", day)
	}
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	keys, err := a.appKeys()
	if err != nil {
		return err
	}
	secret, key, err := keys.Issue(httpd.AppKey{Name: name, Scopes: []string{gateway.Scope}}, time.Now())
	if err != nil {
		return err
	}
	c.key = secret
	if day == 0 {
		a.tell("key    ", "%s for %s; its budget: infernet budget set %s --day 500", key.ID, name, key.ID)
		return nil
	}
	b, err := a.openBudget()
	if err == nil {
		amount := events.Msat(day) * events.Sat
		err = errors.Join(b.Set(key.ID, gateway.Limit{Day: &amount}), b.Close())
	}
	if err != nil { // a key without its bounds is not handed out
		return errors.Join(err, keys.Revoke(key.ID))
	}
	a.tell("key    ", "%s for %s, %d sat a day", key.ID, name, day)
	return nil
}

// firstModel is a model for chats that the market has; "auto", any, if none is known.
func (a *app) firstModel(ctx context.Context, c connection) string {
	const any = "auto"
	ctx, stop := context.WithTimeout(ctx, 3*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, "GET", c.url+"/v1/models", nil)
	if err != nil {
		return any
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return any
	}
	defer resp.Body.Close()
	var models struct{ Data []gateway.Model }
	if json.NewDecoder(resp.Body).Decode(&models) != nil {
		return any
	}
	for _, m := range models.Data {
		if slices.Contains(m.Market.Kinds, events.KindText) {
			return m.ID
		}
	}
	return any
}

// writeApp puts the settings into the app's file, and keeps the file as it was.
func (a *app) writeApp(k appSettings, c connection) error {
	path := filepath.Join(a.Env("HOME"), k.file)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	body := []byte(k.content(c))
	switch {
	case err != nil: // there is none
	case bytes.Equal(old, body):
		a.wrote(k, path, false)
		return nil
	case k.merge == nil:
		return withHint(fmt.Errorf("%s is there already, and only JSON is merged; put this into it by hand", path), "infernet connect %s", k.name)
	default:
		have := map[string]any{}
		read := json.NewDecoder(bytes.NewReader(old))
		read.UseNumber()
		if err := read.Decode(&have); err != nil {
			return withHint(fmt.Errorf("%s is no JSON object, and stays as it is: %w", path, err), "infernet connect %s", k.name)
		}
		before, err := marshalPlain(have)
		if err != nil {
			return err
		}
		mergeInto(have, k.merge(c))
		if body, err = marshalPlain(have); err != nil {
			return err
		}
		if bytes.Equal(before, body) {
			a.wrote(k, path, false)
			return nil
		}
		if err := os.WriteFile(path+".before-infernet", old, 0o600); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".part", body, 0o600); err != nil { // it holds a key
		return err
	}
	if err := os.Rename(path+".part", path); err != nil {
		return err
	}
	a.wrote(k, path, true)
	return nil
}

func (a *app) wrote(k appSettings, path string, changed bool) {
	if a.json {
		a.object(a.Out, map[string]any{"app": k.name, "file": path, "changed": changed})
		return
	}
	if !changed {
		fmt.Fprintf(a.Out, "%s says so already\n", path)
		return
	}
	fmt.Fprintf(a.Out, "%s: wrote %s\n", k.name, path)
}

// mergeInto puts what is new into an object, object by object.
func mergeInto(have, news map[string]any) {
	for name, value := range news {
		inner, both := value.(map[string]any)
		old, ok := have[name].(map[string]any)
		if both && ok {
			mergeInto(old, inner)
			continue
		}
		have[name] = value
	}
}

// marshalPlain writes JSON for people.
func marshalPlain(v any) ([]byte, error) {
	var buf bytes.Buffer
	to := json.NewEncoder(&buf)
	to.SetEscapeHTML(false)
	to.SetIndent("", "  ")
	err := to.Encode(v)
	return buf.Bytes(), err
}
