package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
)

func (a *app) jobCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "job", Short: "The jobs that were bought here"}
	cmd.AddCommand(a.jobSubmitCommand(), a.jobListCommand(), a.jobShowCommand(), a.jobWatchCommand(), a.jobCancelCommand(), a.jobReviewCommand())
	return cmd
}

func (a *app) jobSubmitCommand() *cobra.Command {
	var o orderFlags
	var detach bool
	cmd := &cobra.Command{
		Use:         "submit [PROMPT]",
		Short:       "Submit a job and print its id; then wait for the result",
		Long:        "Prints the job's id on stdout and waits for the result as run does. With --detach it returns at once:\n'infernet job watch ID' goes on from there, soon, for offers hold a minute: it chooses one, pays and shows the result.",
		Example:     "infernet job submit --detach '" + tryPrompt + "'",
		Annotations: says("as run; with --detach only job"),
		Args:        onePrompt,
		RunE: func(cmd *cobra.Command, args []string) error {
			prompt, err := a.prompt(cmd.Context(), args)
			if err != nil {
				return err
			}
			order, err := a.order(cmd, &o, prompt)
			if err != nil {
				return err
			}
			if o.estimate {
				return a.estimate(cmd.Context(), order)
			}
			c, done, err := a.buyer(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if detach {
				id, err := c.Submit(cmd.Context(), order)
				if err != nil {
					return err
				}
				a.printID(id)
				return nil
			}
			printed := false
			show := a.newShower(o.verbose)
			show.file = o.file
			show.plain, show.poor, show.free = order.Way == consumer.Plain, c.Wallet == nil, order.MaxCost == 0
			got, err := c.Do(cmd.Context(), order, func(s consumer.Step) {
				if !printed && !a.json { // the answer's object names it
					printed = true
					a.printID(s.Job)
				}
				show.step(s)
			})
			return show.end(got, err)
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&detach, "detach", false, "only submit")
	return cmd
}

func (a *app) printID(id events.ID) {
	if a.json {
		a.object(a.Out, map[string]any{"job": id})
		return
	}
	fmt.Fprintln(a.Out, id)
}

func (a *app) jobWatchCommand() *cobra.Command {
	var verbose bool
	var file string
	cmd := &cobra.Command{
		Use:         "watch ID",
		Short:       "Go on with an unfinished job until its result is here",
		Example:     "infernet job watch last",
		Annotations: says("as run"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOut("--out", file); err != nil {
				return err
			}
			id, end, err := a.findJob(args[0])
			if err != nil {
				return err
			}
			if end == consumer.Cancelled { // else it would be bought after all
				return withHint(fmt.Errorf("job %s is over already: cancelled", cutKey(string(id))), "infernet job show %s", cutKey(string(id)))
			}
			c, done, err := (*consumer.Consumer)(nil), func() {}, error(nil)
			if end == consumer.Delivered { // the ledger has it all
				c, done, err = a.reader()
			} else {
				c, done, err = a.buyer(cmd.Context())
			}
			if err != nil {
				return err
			}
			defer done()
			show := a.newShower(verbose)
			show.file = file
			if paid, err := c.Ledger.Commitment(id); err == nil && paid != nil {
				show.stage.paid = paid.Settled
			}
			got, err := c.Resume(cmd.Context(), id, show.step)
			return show.end(got, err)
		},
	}
	cmd.Flags().StringVarP(&file, "out", "o", "", "file for the result, which may be sound or a picture")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print every event of the job")
	return cmd
}

func (a *app) jobCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "cancel ID",
		Short:       "Say that a job is not wanted any more",
		Long:        "Publishes a cancellation, signed by the job's key. What was paid in advance for work that has begun is not paid back.",
		Example:     "infernet job cancel last",
		Annotations: says("job"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, end, err := a.findJob(args[0])
			if err != nil {
				return err
			}
			if end != "" {
				return withHint(fmt.Errorf("job %s is over already: %s", cutKey(string(id)), end), "infernet job show %s", cutKey(string(id)))
			}
			c, done, err := a.looker(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if err := c.Cancel(cmd.Context(), id); err != nil {
				return err
			}
			a.printID(id)
			return nil
		},
	}
}
