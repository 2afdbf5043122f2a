// Command promcheck checks rules and asks queries with Prometheus' own packages: its rule files, its PromQL engine, its
// templates, its parser of scraped pages. Without what a server needs (discovery, remote storage, the web page) they
// compile in a tenth of promtool's time.
//
//	promcheck rules FILE…     are these rule files in order?
//	promcheck test FILE…      do alerts fire as these files expect? The format is promtool's: "Unit testing for rules"
//	promcheck answers         reads scraped pages and queries (JSON) and prints each query that has no answer
package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// As Prometheus has it when nothing is configured.
const lookback = 5 * time.Minute

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("give rules, test or answers")
	}
	var errs []error
	switch args[0] {
	case "rules":
		for _, file := range args[1:] {
			_, err := readRules(file)
			errs = append(errs, err)
		}
	case "test":
		for _, file := range args[1:] {
			errs = append(errs, testFile(file))
		}
	case "answers":
		errs = append(errs, answers(os.Stdin))
	default:
		return fmt.Errorf("%q is none of rules, test, answers", args[0])
	}
	return errors.Join(errs...)
}

// readRules reads a file of rules; nothing in it may be unknown, invalid, or there twice.
func readRules(file string) (*rulefmt.RuleGroups, error) {
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, newParser(), slog.Default())
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	seen := map[string]bool{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			name := fmt.Sprint(rule.Record, rule.Alert, rule.Labels)
			if seen[name] {
				errs = append(errs, fmt.Errorf("%s: %s is there twice with the same labels", file, rule.Record+rule.Alert))
			}
			seen[name] = true
		}
	}
	return groups, errors.Join(errs...)
}

func newParser() parser.Parser {
	return parser.NewParser(parser.Options{})
}

func newEngine() *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		MaxSamples:               50_000_000,
		Timeout:                  time.Minute,
		LookbackDelta:            lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
		EnableAtModifier:         true,
		EnableNegativeOffset:     true,
		Parser:                   newParser(),
	})
}
