package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// maxProof bounds a proof's file: two events and the sealed bytes again.
const maxProof = 4 * events.MaxEvent

func (a *app) receiptCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "receipt", Short: "What a job's signed events prove, to anybody, offline"}
	cmd.AddCommand(a.receiptVerifyCommand(), a.receiptExportCommand())
	return cmd
}

func (a *app) receiptVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify FILE|ID",
		Short: "Judge a receipt, or a claim that a sealed result was a fraud",
		Long: "Judges a proof that 'infernet receipt export' wrote (- reads stdin), or that of a job in the ledger. No relay, wallet or\n" +
			"node is asked, and whoever shows the proof is not trusted: all of it must be bound to the result by the node's signature.\n\n" +
			"Verdicts: receipt, the node signed that it was paid for this result; honest, the sealed bytes open under the preimage to\n" +
			"the text whose hash the node signed, so a claim of fraud is wrong; garbage, what the node sold does not open with the\n" +
			"preimage that it sold; other text, it opens to another text than the node signed. Whether a text is good is not judged.\n" +
			"A fraud ends with exit code 14, what proves nothing with 1.",
		Example:     "infernet receipt verify proof.json",
		Annotations: says("verdict, fraud, job, node, customer, result, amount_msat, receipt, content"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			proof, err := a.proof(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			f, err := proof.Judge()
			if err != nil {
				return err
			}
			return a.finding(f)
		},
	}
}

func (a *app) receiptExportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "export ID",
		Short: "Write the proof of a job, for anybody to verify",
		Long: "Prints what proves a job's receipt, or a fraud with a sealed result, as one JSON object. It shows the result's text, the\n" +
			"payment's preimage if the result was sealed, and the key that opens what travelled between the job's key and the node; no\n" +
			"secret key, and nothing of other jobs.",
		Example:     "infernet receipt export last",
		Annotations: says("type, event, receipt, conversation_key, sealed, preimage"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			proof, err := a.ledgerProof(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			a.object(a.Out, proof)
			return nil
		},
	}
}

// finding shows a verdict; a fraud is an error.
func (a *app) finding(f *events.Finding) error {
	var err error
	if f.Verdict.Fraud() {
		err = fmt.Errorf("%w: node %s sold %s for %s", errFraud, f.Node, f.Verdict, f.Amount.Human())
	}
	if a.json {
		a.object(a.Out, map[string]any{
			"verdict": f.Verdict, "fraud": f.Verdict.Fraud(), "job": f.Job, "node": f.Node, "customer": f.Customer, "result": f.Result,
			"amount_msat": f.Amount, "receipt": f.Receipt != nil, "content": f.Text,
		})
		return err
	}
	switch f.Verdict {
	case events.Receipted:
		fmt.Fprintf(a.Out, "receipt: node %s signed that it received %s\n", f.Node, f.Amount.Human())
	case events.Honest:
		fmt.Fprintf(a.Out, "honest: what node %s sold for %s opens to the text that it signed\n", f.Node, f.Amount.Human())
		if f.Receipt != nil {
			fmt.Fprintf(a.Out, "receipt: it signed that it received %s\n", f.Amount.Human())
		}
	case events.Garbage:
		fmt.Fprintf(a.Out, "garbage: what node %s sold for %s does not open with the preimage that it sold it for\n", f.Node, f.Amount.Human())
	case events.OtherText:
		fmt.Fprintf(a.Out, "other text: what node %s sold for %s opens to another text than it signed\n", f.Node, f.Amount.Human())
	}
	fmt.Fprintf(a.Out, "job %s, result %s\n", f.Job, f.Result)
	return err
}

// proof reads a proof from stdin or a file, or makes that of a job.
func (a *app) proof(ctx context.Context, arg string) (*events.Proof, error) {
	in := a.In
	if arg != "-" {
		file, err := os.Open(arg)
		if errors.Is(err, fs.ErrNotExist) {
			proof, err := a.ledgerProof(ctx, arg)
			var wrong *usageError
			if errors.As(err, &wrong) {
				err = withHint(usage("%s is no file, and no job's id in the ledger", arg), "infernet job list")
			}
			return proof, err
		}
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	body, err := until(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, maxProof+1)) })
	if err != nil {
		return nil, fmt.Errorf("read the proof: %w", err)
	}
	if len(body) > maxProof {
		return nil, usage("%s has more than %d bytes: it is no proof", arg, maxProof)
	}
	var proof events.Proof
	read := json.NewDecoder(bytes.NewReader(body))
	read.DisallowUnknownFields()
	if err := read.Decode(&proof); err != nil {
		return nil, withHint(usage("%s is no proof: %w", arg, err), "infernet receipt export last > proof.json")
	}
	return &proof, nil
}

// ledgerProof makes the proof of a job of the ledger.
func (a *app) ledgerProof(ctx context.Context, arg string) (*events.Proof, error) {
	l, err := a.openLedger()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	id, err := a.wholeID(l, arg)
	if err != nil {
		return nil, err
	}
	signer, err := l.Signer(id, nil)
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", cutKey(string(id)), err)
	}
	if signer == nil { // bought with a key of the user's own
		path := a.settings.text("run.key")
		if path == "" {
			return prove(ctx, l, id, nil)
		}
		signer, done, err := a.signer(ctx, path)
		if err != nil {
			return nil, fmt.Errorf("run.key: %w", err)
		}
		defer done()
		return prove(ctx, l, id, signer)
	}
	return prove(ctx, l, id, signer)
}

// prove collects what the ledger has of a job: the result, its receipt, and what opens both. reader is who bought it; nil
// if that key is not here.
func prove(ctx context.Context, l *ledger.Ledger, id events.ID, reader events.Signer) (*events.Proof, error) {
	kept, err := l.Events(id)
	if err != nil {
		return nil, err
	}
	commitment, err := l.Commitment(id)
	if err != nil {
		return nil, err
	}
	proof := &events.Proof{Type: events.ProofType}
	var node events.PubKey
	for _, ev := range kept {
		var m events.Message
		if reader != nil {
			m, err = events.Open(ctx, ev, reader)
		} else {
			m, err = events.Parse(ev)
		}
		if err != nil {
			return nil, fmt.Errorf("journal of job %s: %w", cutKey(string(id)), err)
		}
		if commitment != nil && m.Signed().Author != commitment.Payee {
			continue // who was paid is who has to answer
		}
		switch m := m.(type) {
		case *events.Result:
			proof.Event, node = ev, m.Author
			if m.Sealed == nil {
				continue
			}
			if commitment != nil && commitment.Preimage != (wallet.Preimage{}) {
				proof.Preimage = commitment.Preimage.String()
			}
			if _, local := reader.(*events.Keys); !local && !m.Closed { // else the conversation key opens the event itself
				proof.Sealed, _ = base64.StdEncoding.DecodeString(m.Content) // what is none proves nothing
			}
		case *events.Receipt:
			proof.Receipt = ev
		}
	}
	if proof.Event == nil {
		return nil, withHint(fmt.Errorf("job %s has no result", cutKey(string(id))), "infernet job watch %s", cutKey(string(id)))
	}
	if keys, ok := reader.(*events.Keys); ok {
		key, err := keys.Conversation(node)
		if err != nil {
			return nil, err
		}
		proof.Conversation = hex.EncodeToString(key[:])
	} else {
		proof.Receipt = nil // a bunker gives no conversation key, and without one nobody can read it
	}
	return proof, nil
}
