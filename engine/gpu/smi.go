package gpu

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// smiProbe asks nvidia-smi, the program that comes with NVIDIA's driver.
type smiProbe struct{ program string }

func (p *smiProbe) Name() string { return "nvidia-smi" }

// query asks for fields of all cards, a row each.
func (p *smiProbe) query(ctx context.Context, fields ...string) ([][]string, error) {
	program := p.program
	if program == "" {
		program = "nvidia-smi"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return nil, ErrAbsent
	}
	out, err := output(ctx, path, "--query-gpu="+strings.Join(fields, ","), "--format=csv,noheader,nounits")
	if err != nil {
		return nil, err
	}
	read := csv.NewReader(strings.NewReader(out))
	read.TrimLeadingSpace = true
	rows, err := read.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("its answer: %w", err)
	}
	for _, row := range rows {
		if len(row) != len(fields) {
			return nil, fmt.Errorf("its answer: %d columns, %d were asked for", len(row), len(fields))
		}
	}
	return rows, nil
}

func (p *smiProbe) Cards(ctx context.Context) (cards []Card, err error) {
	rows, err := p.query(ctx, "uuid", "name", "memory.total", "driver_version")
	for _, row := range rows {
		card := Card{ID: row[0], Name: row[1], Vendor: "nvidia", Driver: row[3]}
		if mib := number(row[2]); mib > 0 {
			card.Memory = int64(mib) << 20
		}
		cards = append(cards, card)
	}
	return cards, err
}

func (p *smiProbe) Read(ctx context.Context) (all []Reading, err error) {
	rows, err := p.query(ctx, "uuid", "utilization.gpu", "memory.used", "temperature.gpu", "power.draw")
	for _, row := range rows {
		r := unread(row[0])
		r.Busy, r.Celsius, r.Watts = number(row[1]), number(row[3]), number(row[4])
		if mib := number(row[2]); mib >= 0 {
			r.Used = int64(mib) << 20
		}
		all = append(all, r)
	}
	return all, err
}

func (p *smiProbe) Close() error { return nil }

// number reads a number; -1 for what is none, such as [N/A].
func number(text string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// maxOutput is how much of a probe's answer is read, in bytes.
const maxOutput = 1 << 20

// output runs a program for its answer, within the context's time. What it says when it fails is its last line.
func output(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &capped{&out, maxOutput}, &capped{&said, maxOutput}
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(said.String()+"\n"+out.String()), "\n")
		if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
			return "", fmt.Errorf("%w: %.200s", err, last)
		}
	}
	return out.String(), err
}

// capped takes so many bytes and drops the rest.
type capped struct {
	to   io.Writer
	left int
}

func (w *capped) Write(p []byte) (int, error) {
	keep := min(len(p), w.left)
	w.left -= keep
	if _, err := w.to.Write(p[:keep]); err != nil {
		return 0, err
	}
	return len(p), nil
}
