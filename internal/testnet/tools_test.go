package testnet

import (
	"strings"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/provider"
)

// plainJob is what a plain client puts into its request.
type plainJob struct {
	Name    string     `json:"name"`
	Kind    int        `json:"kind,omitempty"`
	Tags    [][]string `json:"tags,omitempty"`
	Content string     `json:"content,omitempty"`
	Encrypt string     `json:"encrypt,omitempty"` // nip44 or nip04; then Inside travels in the content, to Node
	Inside  [][]string `json:"inside,omitempty"`
	Node    string     `json:"node,omitempty"`
	Pays    bool       `json:"pays"`
}

// plainHeard is what a plain client says of one job.
type plainHeard struct {
	Name      string    `json:"name"`
	ID        events.ID `json:"id"`
	Said      []string  `json:"said"` // statuses, with their words, in the order they came
	Content   *string   `json:"content"`
	Status    string    `json:"status"`
	Encrypted bool      `json:"encrypted"`
	Amount    int64     `json:"amount"`
	Preimage  string    `json:"preimage"`
	After     int       `json:"after"` // events that came after the result
	Refused   string    `json:"refused"`
}

// plainClient has the nostr-tools client buy jobs, all at once, and gives what it heard by their names.
func (n *Net) plainClient(t *testing.T, wallet string, jobs ...plainJob) map[string]plainHeard {
	t.Helper()
	client := n.peer(t, peers.Node(t, "js/plain.mjs"), map[string]any{"relay": n.URL, "wallet": wallet, "jobs": jobs})
	heard := map[string]plainHeard{}
	for range jobs {
		var one plainHeard
		client.hear("job", &one)
		heard[one.Name] = one
	}
	return heard
}

// TestNostrToolsBuys has a NIP-90 client made of npm nostr-tools buy in every shape that is seen in the wild. It knows
// nothing of our profile: it pays what payment-required asks for, over NIP-47, and takes the result.
func TestNostrToolsBuys(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", func(c *provider.Config) { c.PerKey, c.StandDown = 100, -1 })
	address, w := n.connection(t)
	me := string(node.Key)
	prompt, limit := []string{"i", "one two three", "text"}, []string{"bid", "100000"}
	const price = 32_000 // of these three words, in msat
	cases := []struct {
		plainJob
		want string // what is said before the result
	}{
		{plainJob{Name: "open", Tags: [][]string{prompt, limit, {"output", "text/plain"}}}, ""},
		{plainJob{Name: "to one node", Tags: [][]string{prompt, {"p", me}}}, ""},
		{plainJob{Name: "an input of type prompt", Tags: [][]string{{"i", "one two three", "prompt"}, {"param", "top_k", "40"}}}, ""},
		{plainJob{Name: "an input without a type", Tags: [][]string{{"i", "one two three"}, {"p", me}}}, ""},
		{plainJob{Name: "no input, the prompt is a param", Tags: [][]string{{"param", "prompt", "one two three"}, {"p", me}}}, ""},
		{plainJob{Name: "no input, the prompt is the content", Content: "one two three", Tags: [][]string{{"p", me}}}, ""},
		{plainJob{Name: "no input, a tag input", Tags: [][]string{{"input", "text", "one two three"}, {"p", me}}}, ""},
		{plainJob{Name: "params and bids as they are misspelt", Tags: [][]string{prompt, {"param", "top-k", "40"}, {"bid", "100_000", "200000"}, {"relays", n.URL}, {"wss://a.example", "wss://a.example"}}}, ""},
		{plainJob{Name: "encrypted", Encrypt: "nip44", Node: me, Inside: [][]string{prompt, limit, {"relays", n.URL}}}, ""},
		{plainJob{Name: "encrypted by NIP-04", Encrypt: "nip04", Node: me, Inside: [][]string{prompt, limit}}, ""},
		{plainJob{Name: "a bid too low, to one node", Tags: [][]string{prompt, {"bid", "1000"}, {"p", me}}}, "error UNDERBID"},
		{plainJob{Name: "an unknown model, encrypted", Encrypt: "nip44", Node: me, Inside: [][]string{prompt, {"param", "model", "ecko"}}}, "error UNSUPPORTED_MODEL"},
		{plainJob{Name: "a parameter out of bounds", Tags: [][]string{prompt, {"param", "temperature", "99"}, {"p", me}}}, "error INVALID_PARAMETER"},
	}
	jobs := []plainJob{}
	for _, c := range cases {
		c.Pays = true
		jobs = append(jobs, c.plainJob)
	}
	heard := n.plainClient(t, address, jobs...)
	paid := events.Msat(0)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			got, said := heard[c.Name], strings.Join(heard[c.Name].Said, ", ")
			if got.Refused != "" {
				t.Fatalf("the relay refused the request: %s", got.Refused)
			}
			if c.want != "" {
				if !strings.HasPrefix(said, c.want) || got.Content != nil {
					t.Errorf("it heard %q and the result %v, want %s", said, got.Content, c.want)
				}
				return
			}
			paid += price
			if got.Content == nil || *got.Content != "one two three" {
				t.Fatalf("it heard %q and no result", said)
			}
			if said != "payment-required, processing" || got.After != 0 {
				t.Errorf("it heard %q before the result and %d events after it", said, got.After)
			}
			if got.Amount != price || len(got.Preimage) != 64 {
				t.Errorf("it paid %d msat, proof %q", got.Amount, got.Preimage)
			}
			if got.Encrypted != (c.Encrypt != "") || !got.Encrypted && got.Status != "success" {
				t.Errorf("the result is encrypted %t, status %q", got.Encrypted, got.Status)
			}
		})
	}
	if have := n.spent(t, w); have != paid {
		t.Errorf("the client spent %s for %s of work", have.Human(), paid.Human())
	}
}

// TestNostrToolsBuysForFree has the same client buy where nothing costs anything: it hears only that it runs.
func TestNostrToolsBuysForFree(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", func(c *provider.Config) { free(c); c.StandDown = time.Millisecond })
	prompt := []string{"i", "one two three", "text"}
	for name, got := range n.plainClient(t, "",
		plainJob{Name: "open", Tags: [][]string{prompt}},
		plainJob{Name: "to one node", Tags: [][]string{prompt, {"p", string(node.Key)}, {"bid", "0"}}},
		plainJob{Name: "encrypted", Encrypt: "nip44", Node: string(node.Key), Inside: [][]string{prompt}},
	) {
		if said := strings.Join(got.Said, ", "); said != "processing" || got.Content == nil || *got.Content != "one two three" || got.After != 0 {
			t.Errorf("%s: it heard %q, the result %v, %d events after it", name, said, got.Content, got.After)
		}
	}
}
