package quorum

import (
	"context"
	"strings"
	"testing"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
)

func answers(texts ...string) (all []*Answer) {
	for _, text := range texts {
		all = append(all, &Answer{Got: &consumer.Delivery{Text: text}})
	}
	return all
}

func groups(all []*Answer) (out []int) {
	for _, a := range all {
		out = append(out, a.Group)
	}
	return out
}

// TestAnswersAreHeldAgainstEachOther groups answers in each way but by embeddings, which are bought.
func TestAnswersAreHeldAgainstEachOther(t *testing.T) {
	for _, c := range []struct {
		plan  Plan
		texts []string
		want  []int
	}{
		{Plan{}, []string{"a b", " a  b\n", "a c"}, []int{0, 0, 1}},
		{Plan{}, []string{"x", "y", "y"}, []int{1, 0, 0}},
		{Plan{}, []string{"x", "y"}, []int{0, 1}},
		{Plan{Verify: Tolerance}, []string{"it is 100.0 m", "it is 100.9 m", "it is 102 m"}, []int{0, 0, 1}},
		{Plan{Verify: Tolerance, Tolerance: 0.05}, []string{"[1, 2e3]", "[1.04, 2010]", "[1, 2e3, 4]"}, []int{0, 0, 1}},
		{Plan{Verify: Tolerance}, []string{"it is 100 m", "it was 100 m"}, []int{0, 1}},
		{Plan{Verify: Command, Same: "cmp -s"}, []string{"a", "b", "a"}, []int{0, 1, 0}},
		{Plan{Verify: Command, Same: "diff -qi"}, []string{"A", "b", "a"}, []int{0, 1, 0}},
	} {
		given := answers(c.texts...)
		same, err := (&buying{}).sameness(context.Background(), c.plan, given, &Outcome{})
		if err == nil {
			err = group(given, same)
		}
		if err != nil {
			t.Errorf("%v: %v", c.texts, err)
		}
		for i, g := range groups(given) {
			if g != c.want[i] {
				t.Errorf("%s of %q: groups %v, want %v", c.plan.Verify, c.texts, groups(given), c.want)
				break
			}
		}
	}
	same, _ := (&buying{}).sameness(context.Background(), Plan{Verify: Command, Same: "echo no such thing; exit 3;"}, answers("a", "b"), &Outcome{})
	if err := group(answers("a", "b"), same); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a command that fails: %v", err)
	}
}

// TestOneAnswerOfSeveral makes one answer in each way.
func TestOneAnswerOfSeveral(t *testing.T) {
	for _, c := range []struct {
		plan  Plan
		texts []string
		want  string
		says  string
	}{
		{Plan{}, []string{"y", "x", "y"}, "y", ""},
		{Plan{Aggregate: Concat}, []string{"one", "two"}, "one\n\ntwo", ""},
		{Plan{Aggregate: Mean}, []string{"about 1", "2", "6"}, "3", ""},
		{Plan{Aggregate: Median}, []string{"1", "100", "2"}, "2", ""},
		{Plan{Aggregate: Median}, []string{"1", "2"}, "1.5", ""},
		{Plan{Aggregate: Mean}, []string{"[1, 2]", "[3, 6]"}, "[2,4]", ""},
		{Plan{Aggregate: Mean}, []string{"1", "none"}, "", "answer 2 has 0 numbers"},
		{Plan{Aggregate: Mean}, []string{"[1]", "[1,2]"}, "", "answer 2 has 2 numbers, the first 1"},
		{Plan{Aggregate: BestOf}, []string{"the sea is wide", "a lamp", "the sea is blue and wide"}, "the sea is wide", ""},
		{Plan{Aggregate: BestOf, Score: "wc -c"}, []string{"ab", "abcd", "abc"}, "abcd", ""},
		{Plan{Aggregate: BestOf, Score: "echo much"}, []string{"ab", "a"}, "", "its score is no number"},
		{Plan{Aggregate: Combine, Combine: "tr -d '[]\"'"}, []string{"a", "b"}, "a,b", ""},
		{Plan{Aggregate: Combine, Combine: "echo broken >&2; false"}, []string{"a", "b"}, "", "broken"},
	} {
		given := answers(c.texts...)
		if same, err := (&buying{}).sameness(context.Background(), Plan{}, given, &Outcome{}); err != nil || group(given, same) != nil {
			t.Fatal(err)
		}
		got, err := aggregate(context.Background(), c.plan, given)
		if got != c.want || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s of %q: %q, %v; want %q %q", c.plan.Aggregate, c.texts, got, err, c.want, c.says)
		}
	}
}

// TestAutoAsksAsManyAsNeeded asks one node that is known to be good, else three, as far as the money goes.
func TestAutoAsksAsManyAsNeeded(t *testing.T) {
	node := func(jobs int, failed float64) choose.Verdict {
		return choose.Verdict{Candidate: choose.Candidate{About: 10 * events.Sat, Measured: choose.Measured{Jobs: jobs, Failed: failed}}}
	}
	unknown := node(0, 0)
	for _, c := range []struct {
		able  []choose.Verdict
		money events.Msat
		want  int
	}{
		{nil, 100 * events.Sat, 0},
		{[]choose.Verdict{unknown}, 100 * events.Sat, 1},
		{[]choose.Verdict{unknown, unknown}, 100 * events.Sat, 1},
		{[]choose.Verdict{unknown, unknown, unknown, unknown}, 100 * events.Sat, 3},
		{[]choose.Verdict{unknown, unknown, unknown}, 25 * events.Sat, 1},
		{[]choose.Verdict{node(20, 0), unknown, unknown}, 100 * events.Sat, 1},
		{[]choose.Verdict{node(20, 0.2), unknown, unknown}, 100 * events.Sat, 3},
	} {
		if got := auto(c.able, c.money); got != c.want {
			t.Errorf("%d nodes for %s: %d are asked, want %d", len(c.able), c.money.Human(), got, c.want)
		}
	}
}

func TestPlansAreChecked(t *testing.T) {
	for _, p := range []Plan{{Nodes: -1}, {Nodes: 33}, {Nodes: 2, Need: 3}, {Verify: "luck"}, {Aggregate: "luck"}, {Tolerance: 2}, {Verify: Command}, {Same: "x"}, {Aggregate: Combine}, {Score: "x"}} {
		if p.Check() == nil {
			t.Errorf("%+v is taken", p)
		}
	}
	if err := (Plan{Nodes: 3, Need: 2}).Check(); err != nil {
		t.Error(err)
	}
}
