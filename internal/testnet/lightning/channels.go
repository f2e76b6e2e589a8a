package lightning

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

func cut(permission string) (entity, action string, ok bool) { return strings.Cut(permission, ":") }

// connect gives the hub money and opens a channel from it to each other node, half of which is theirs.
func (n *Network) connect(ctx context.Context) error {
	hub := n.nodes[Hub]
	var to struct {
		Address string `json:"address"`
	}
	if err := hub.Call(ctx, http.MethodGet, "/v1/newaddress?type=NESTED_PUBKEY_HASH", nil, &to); err != nil {
		return err
	}
	if err := n.chain.pay(ctx, to.Address, 2*n.Channel*int64(len(n.Nodes))); err != nil {
		return err
	}
	err := wait(ctx, "the hub's money", func() error {
		var have struct {
			Confirmed int64 `json:"confirmed_balance,string"`
		}
		if err := hub.Call(ctx, http.MethodGet, "/v1/balance/blockchain", nil, &have); err != nil {
			return err
		}
		if have.Confirmed == 0 {
			return fmt.Errorf("it has none")
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range n.Nodes {
		if err := n.open(ctx, hub, n.nodes[name]); err != nil {
			return err
		}
	}
	if err := n.Mine(ctx, 6); err != nil {
		return err
	}
	return n.each(func(name string) error { return n.ready(ctx, n.nodes[name]) })
}

func (n *Network) open(ctx context.Context, hub, to *Node) error {
	if err := wait(ctx, "the hub at "+to.Name, func() error { return meet(ctx, hub, to) }); err != nil {
		return err
	}
	return wait(ctx, "a channel with "+to.Name, func() error { // a node that has just met the hub may not be ready for it
		return hub.Call(ctx, http.MethodPost, "/v1/channels", map[string]any{
			"node_pubkey_string": to.Key, "local_funding_amount": fmt.Sprint(n.Channel), "push_sat": fmt.Sprint(n.Channel / 2), "sat_per_vbyte": "2",
			"spend_unconfirmed": true,
		}, &struct{}{})
	})
}

// ready waits until a node knows all channels, and its own are open.
func (n *Network) ready(ctx context.Context, node *Node) error {
	want := 1
	if node.Name == Hub {
		want = len(n.Nodes)
	}
	return wait(ctx, "the channels at "+node.Name, func() error {
		var info struct {
			Active int `json:"num_active_channels"`
		}
		if err := node.Call(ctx, http.MethodGet, "/v1/getinfo", nil, &info); err != nil {
			return err
		}
		if info.Active < want {
			return fmt.Errorf("%d of %d are open", info.Active, want)
		}
		var graph struct {
			Edges []struct {
				One *struct{} `json:"node1_policy"`
				Two *struct{} `json:"node2_policy"`
			} `json:"edges"`
		}
		if err := node.Call(ctx, http.MethodGet, "/v1/graph", nil, &graph); err != nil {
			return err
		}
		known := 0
		for _, edge := range graph.Edges {
			if edge.One != nil && edge.Two != nil {
				known++
			}
		}
		if known < len(n.Nodes) {
			return fmt.Errorf("it knows %d of %d channels", known, len(n.Nodes))
		}
		return nil
	})
}

// Ready waits until a node that was started again has its channels open. Both sides look for each other: lnd's own attempts
// come seldomer after each loss.
func (n *Node) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	go func() {
		hub := n.net.nodes[Hub]
		for wait := time.NewTicker(500 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				wait.Stop()
				return
			case <-wait.C:
				for _, name := range n.net.Nodes {
					if other := n.net.nodes[name]; n.Name == Hub || n == other {
						meet(ctx, hub, other)
						meet(ctx, other, hub)
					}
				}
			}
		}
	}()
	return n.net.ready(ctx, n)
}

// meet has one node connect to another, if it is not connected.
func meet(ctx context.Context, from, to *Node) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	err := from.Call(ctx, http.MethodPost, "/v1/peers", map[string]any{"addr": map[string]string{"pubkey": to.Key, "host": to.peer}, "perm": true}, &struct{}{})
	if err != nil && strings.Contains(err.Error(), "already connected") {
		return nil
	}
	return err
}

// Quiet waits until nothing is on its way in any channel: balances are what they will stay.
func (n *Network) Quiet(ctx context.Context) error {
	return wait(ctx, "quiet channels", func() error {
		for _, name := range n.names {
			var list struct {
				Channels []struct {
					Pending []struct{} `json:"pending_htlcs"`
				} `json:"channels"`
			}
			if err := n.nodes[name].Call(ctx, http.MethodGet, "/v1/channels", nil, &list); err != nil {
				return err
			}
			for _, c := range list.Channels {
				if len(c.Pending) > 0 {
					return fmt.Errorf("%d payments are on their way at %s", len(c.Pending), name)
				}
			}
		}
		return nil
	})
}
