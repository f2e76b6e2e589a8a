package echo

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"infernet/events"
)

// options are what the URL's query says; Open documents them.
type options struct {
	model              string
	kinds              []int
	slots, context     int
	delay, first       time.Duration
	tokens             int
	fail               string
	after, jobs, crash int
	down, files        bool
}

func parse(u *url.URL) (options, error) {
	o := options{
		model: "echo", slots: 4, context: 4096,
		kinds: []int{events.KindText, events.KindSummary, events.KindTranslation, events.KindEmbeddings},
	}
	for name, values := range u.Query() {
		value := values[0]
		var err error
		switch name {
		case "model":
			o.model = strings.ToLower(value)
		case "kinds":
			o.kinds = nil
			for _, k := range strings.Split(value, ",") {
				var n int
				if n, err = strconv.Atoi(k); err != nil {
					break
				}
				o.kinds = append(o.kinds, n)
			}
		case "slots":
			o.slots, err = atLeast(value, 1)
		case "context":
			o.context, err = atLeast(value, 1)
		case "tokens":
			o.tokens, err = atLeast(value, 1)
		case "after":
			o.after, err = atLeast(value, 0)
		case "jobs":
			o.jobs, err = atLeast(value, 0)
		case "crash":
			o.crash, err = atLeast(value, 1)
		case "delay":
			o.delay, err = time.ParseDuration(value)
		case "first":
			o.first, err = time.ParseDuration(value)
		case "fail":
			o.fail = value
		case "files":
			o.files, err = strconv.ParseBool(value)
		case "down":
			o.down, err = strconv.ParseBool(value)
		default:
			err = fmt.Errorf("no such option")
		}
		if err != nil {
			return o, fmt.Errorf("engine %s: option %s=%s: %w", u, name, value, err)
		}
	}
	return o, nil
}

func atLeast(value string, least int) (int, error) {
	n, err := strconv.Atoi(value)
	if err == nil && n < least {
		err = fmt.Errorf("at least %d", least)
	}
	return n, err
}
