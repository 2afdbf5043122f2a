package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
	"go.yaml.in/yaml/v3"
)

// unitTests is what of promtool's format is understood; the rest is refused.
type unitTests struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	Tests              []unitTest     `yaml:"tests"`
}

type unitTest struct {
	Name        string         `yaml:"name"`
	Interval    model.Duration `yaml:"interval"`
	InputSeries []struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	} `yaml:"input_series"`
	AlertRuleTest []struct {
		Alertname string         `yaml:"alertname"`
		EvalTime  model.Duration `yaml:"eval_time"`
		ExpAlerts []struct {
			Labels      map[string]string `yaml:"exp_labels"`
			Annotations map[string]string `yaml:"exp_annotations"`
		} `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// alert is one that is pending or fires.
type alert struct {
	labels      map[string]string
	annotations map[string]string
	since       time.Time
	fires       bool
}

// active has the alerts of one rule, by their labels.
type active map[string]*alert

func testFile(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var tests unitTests
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&tests); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if tests.EvaluationInterval <= 0 || len(tests.Tests) == 0 {
		return fmt.Errorf("%s: there is no evaluation_interval or no test in it", file)
	}
	var rules []rulefmt.Rule
	for _, of := range tests.RuleFiles {
		groups, err := readRules(filepath.Join(filepath.Dir(file), of))
		if err != nil {
			return err
		}
		for _, group := range groups.Groups {
			rules = append(rules, group.Rules...)
		}
	}
	var errs []error
	for _, test := range tests.Tests {
		if err := test.run(rules, time.Duration(tests.EvaluationInterval)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", file, test.Name, err))
		}
	}
	return errors.Join(errs...)
}

// run evaluates the rules step by step, and looks at the alerts that fire at the times that are expected of.
func (t *unitTest) run(rules []rulefmt.Rule, every time.Duration) error {
	stored, err := t.stored()
	if err != nil {
		return err
	}
	var end model.Duration
	for _, expected := range t.AlertRuleTest {
		end = max(end, expected.EvalTime)
	}
	engine, all, errs := newEngine(), map[string]active{}, []error{}
	for at := time.Duration(0); at <= time.Duration(end); at += every {
		now := time.UnixMilli(at.Milliseconds()).UTC()
		for index, rule := range rules {
			name := fmt.Sprint(rule.Alert, " ", index)
			all[name], err = evaluate(engine, stored, rule, all[name], now)
			if err != nil {
				return fmt.Errorf("%s at %s: %w", rule.Alert, at, err)
			}
		}
		for _, expected := range t.AlertRuleTest {
			asked := time.Duration(expected.EvalTime)
			if at > asked || asked >= at+every {
				continue
			}
			var want []string
			for _, its := range expected.ExpAlerts {
				its := alert{labels: maps.Clone(its.Labels), annotations: its.Annotations}
				if its.labels == nil {
					its.labels = map[string]string{}
				}
				its.labels[labels.AlertName] = expected.Alertname
				want = append(want, its.String())
			}
			got := firing(all, expected.Alertname)
			slices.Sort(want)
			if !slices.Equal(want, got) {
				errs = append(errs, fmt.Errorf("%s at %s\n  expected: %s\n  fires:    %s", expected.Alertname, asked,
					strings.Join(want, "\n            "), strings.Join(got, "\n            ")))
			}
		}
	}
	return errors.Join(errs...)
}

func (t *unitTest) stored() (memory, error) {
	stored := memory{}
	for _, input := range t.InputSeries {
		of, values, err := newParser().ParseSeriesDesc(input.Series + " " + input.Values)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", input.Series, err)
		}
		for index, value := range values {
			if value.Histogram != nil {
				return nil, fmt.Errorf("%s: histograms of one sample are not understood here", input.Series)
			}
			if !value.Omitted {
				stored.add(of, int64(index)*time.Duration(t.Interval).Milliseconds(), value.Value)
			}
		}
	}
	return stored, nil
}

func firing(all map[string]active, name string) []string {
	var fire []string
	for rule, alerts := range all {
		for _, its := range alerts {
			if its.fires && strings.HasPrefix(rule, name+" ") {
				fire = append(fire, its.String())
			}
		}
	}
	slices.Sort(fire)
	return fire
}

// evaluate gives the alerts of a rule at a time, from those of the evaluation before.
func evaluate(engine *promql.Engine, stored memory, rule rulefmt.Rule, before active, now time.Time) (active, error) {
	if rule.Record != "" || rule.KeepFiringFor != 0 {
		return nil, errors.New("record and keep_firing_for are not understood here")
	}
	ask := func(ctx context.Context, query string, at time.Time) (promql.Vector, error) {
		return ask(ctx, engine, stored, query, at)
	}
	vector, err := ask(context.Background(), rule.Expr, now)
	if err != nil {
		return nil, err
	}
	after := active{}
	for _, found := range vector {
		its, err := expand(rule, found, now, ask)
		if err != nil {
			return nil, err
		}
		key := labelsOf(its)
		if after[key] != nil {
			return nil, fmt.Errorf("two alerts with the same labels: %s", key)
		}
		its.since = now
		if known := before[key]; known != nil {
			its.since = known.since
			its.fires = known.fires
		}
		its.fires = its.fires || now.Sub(its.since) >= time.Duration(rule.For)
		after[key] = its
	}
	return after, nil
}

// expand fills in the labels and annotations of an alert.
func expand(rule rulefmt.Rule, found promql.Sample, now time.Time, ask template.QueryFunc) (*alert, error) {
	external := &url.URL{}
	data := template.AlertTemplateData(found.Metric.Map(), map[string]string{}, "", found)
	expand := func(text string) (string, error) {
		const names = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
		at := model.TimeFromUnixNano(now.UnixNano())
		return template.NewTemplateExpander(context.Background(), names+text, rule.Alert, data, at, ask, external, nil).Expand()
	}
	its := &alert{labels: found.Metric.Map(), annotations: map[string]string{}}
	delete(its.labels, labels.MetricName)
	for name, text := range rule.Labels {
		value, err := expand(text)
		if err != nil {
			return nil, err
		}
		its.labels[name] = value
	}
	for name, text := range rule.Annotations {
		value, err := expand(text)
		if err != nil {
			return nil, err
		}
		its.annotations[name] = value
	}
	its.labels[labels.AlertName] = rule.Alert
	return its, nil
}

func ask(ctx context.Context, engine *promql.Engine, stored memory, text string, at time.Time) (promql.Vector, error) {
	query, err := engine.NewInstantQuery(ctx, stored, nil, text, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	result := query.Exec(ctx)
	if result.Err != nil {
		return nil, result.Err
	}
	if value, ok := result.Value.(promql.Scalar); ok {
		return promql.Vector{{T: value.T, F: value.V}}, nil
	}
	vector, err := result.Vector()
	// The query's memory is used again once it is closed.
	return slices.Clone(vector), err
}

func labelsOf(its *alert) string {
	return labels.FromMap(its.labels).String()
}

func (a *alert) String() string {
	return labelsOf(a) + " " + labels.FromMap(a.annotations).String()
}
