package testnet

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/lightning"
	"infernet/provider"
	"infernet/wallet"
)

// BenchmarkLightning compares a payment that lnd is asked for by itself with what we make of the same path of two hops, in one
// run: the rounds take turns, so that what slows one slows all. Then it buys many jobs at once.
func BenchmarkLightning(b *testing.B) {
	lightning.Test(b)
	n := Start(b)
	alice, carol := n.lnd("alice", lightning.Both), n.lnd("carol", lightning.Receive)
	const amount = 10 * events.Sat
	node := n.Provider("paid", "echo:?model=paid&slots=64", func(c *provider.Config) {
		c.Wallet, c.Price, c.Queue, c.PerKey = carol.(wallet.Receiver), events.Price{Base: amount}, 256, 256
	})
	gift := n.Provider("free", "echo:?model=free", func(c *provider.Config) { c.Price = events.Price{} })
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = alice.(wallet.Payer) })
	buy := func(b *testing.B, key events.PubKey, way, pay string) time.Duration {
		got, err := buyer.Do(ctx, Text("hello", func(o *consumer.Order) {
			o.Way, o.Pay = way, []string{pay}
			if way == consumer.Direct {
				o.Node = key
			} else {
				o.Only = []events.PubKey{key}
			}
			if pay == events.PayFree {
				o.Pay, o.MaxCost = nil, 0
			}
		}), nil)
		if err != nil {
			b.Fatal(err)
		}
		return got.Took
	}
	timed := func(do func() error) time.Duration {
		began := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		return time.Since(began)
	}
	paths := []struct {
		name string
		call func() time.Duration
	}{
		{"lnd alone: invoice, payment", func() time.Duration { return timed(func() error { return bareLND(b, amount) }) }},
		{"the same by our wallets", func() time.Duration {
			return timed(func() error {
				v, err := carol.(wallet.Receiver).Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: "bench", Until: time.Now().Add(time.Hour)})
				if err != nil {
					return err
				}
				if _, err = alice.(wallet.Payer).Pay(ctx, v.Bolt11, events.Sat); err == nil {
					_, err = carol.(wallet.Receiver).Await(ctx, v.Hash)
				}
				return err
			})
		}},
		{"a free job, direct", func() time.Duration { return buy(b, gift.Key, consumer.Direct, events.PayFree) }},
		{"a paid job, direct, prepaid", func() time.Duration { return buy(b, node.Key, consumer.Direct, events.PayPrepaid) }},
		{"a paid job, auction, prepaid", func() time.Duration { return buy(b, node.Key, consumer.Auction, events.PayPrepaid) }},
		{"a paid job, direct, sealed", func() time.Duration { return buy(b, node.Key, consumer.Direct, events.PaySealed) }},
	}
	took := make([][]time.Duration, len(paths))
	for _, p := range paths { // warm up
		p.call()
	}
	for b.Loop() {
		for _, i := range rand.Perm(len(paths)) { // a payment is slower while the one before it is being settled
			took[i] = append(took[i], paths[i].call())
		}
	}
	fmt.Fprintf(os.Stderr, "\n%d rounds over two hops             p50 / p99\n", len(took[0]))
	for i, p := range paths {
		fmt.Fprintf(os.Stderr, "%-30s %8.1f / %8.1f ms", p.name, ms(q(took[i], 50)), ms(q(took[i], 99)))
		if i > 0 && i != 2 {
			fmt.Fprintf(os.Stderr, "   median %+.1f ms over lnd alone", ms(q(took[i], 50)-q(took[0], 50)))
		}
		fmt.Fprintln(os.Stderr)
	}
	b.ReportMetric(ms(q(took[0], 50)), "lnd-ms")
	b.ReportMetric(ms(q(took[1], 50)-q(took[0], 50)), "wallet-added-ms")
	b.ReportMetric(ms(q(took[3], 50)-q(took[0], 50)), "job-added-ms")

	for _, at := range []int{1, 4, 16} {
		const jobs = 64
		todo := make(chan bool, jobs)
		for range jobs {
			todo <- true
		}
		close(todo)
		var wait sync.WaitGroup
		began := time.Now()
		for range at {
			wait.Go(func() {
				for range todo {
					if _, err := buyer.Do(ctx, Text("hello", func(o *consumer.Order) {
						o.Way, o.Node, o.Pay = consumer.Direct, node.Key, []string{events.PayPrepaid}
					}), nil); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wait.Wait()
		rate := jobs / time.Since(began).Seconds()
		fmt.Fprintf(os.Stderr, "%2d at once: %.1f paid jobs a second\n", at, rate)
		b.ReportMetric(rate, fmt.Sprintf("jobs/s-%d", at))
	}
}

// bareLND has carol's node make an invoice and alice's pay it, by nothing but two calls of their REST API.
func bareLND(b *testing.B, amount events.Msat) error {
	var made struct {
		Bolt11 string `json:"payment_request"`
	}
	ask := map[string]string{"value_msat": fmt.Sprint(int64(amount)), "memo": "bench"}
	if err := lightning.Test(b).Node("carol").Call(ctx, http.MethodPost, "/v1/invoices", ask, &made); err != nil {
		return err
	}
	var paid struct {
		Result struct {
			Status string `json:"status"`
		} `json:"result"`
	}
	err := lightning.Test(b).Node("alice").Call(ctx, http.MethodPost, "/v2/router/send", map[string]any{
		"payment_request": made.Bolt11, "timeout_seconds": 30, "fee_limit_msat": "1000", "no_inflight_updates": true, "max_parts": 16,
	}, &paid)
	if err == nil && paid.Result.Status != "SUCCEEDED" {
		err = fmt.Errorf("lnd says %q", paid.Result.Status)
	}
	return err
}
