package main

import (
	"context"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// memory is a storage of a few series.
type memory map[string]*series

type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

// add appends a sample. Those of a series must come in the order of time.
func (m memory) add(of labels.Labels, atMs int64, value float64) {
	key := of.String()
	if m[key] == nil {
		m[key] = &series{labels: of}
	}
	m[key].samples = append(m[key].samples, sample{atMs, value})
}

// Querier implements storage.Queryable.
func (m memory) Querier(mint, maxt int64) (storage.Querier, error) {
	return querier{m, mint, maxt}, nil
}

type querier struct {
	memory
	mint, maxt int64
}

// Select implements storage.Querier. The result is always sorted.
func (q querier) Select(_ context.Context, _ bool, _ *storage.SelectHints, by ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, series := range q.memory {
		if matches(series.labels, by) {
			found = append(found, storage.NewListSeries(series.labels, q.within(series.samples)))
		}
	}
	sort.Slice(found, func(i, j int) bool { return labels.Compare(found[i].Labels(), found[j].Labels()) < 0 })
	return &seriesSet{rest: found}
}

func (q querier) within(samples []chunks.Sample) []chunks.Sample {
	outside := func(its chunks.Sample) bool { return its.T() < q.mint || its.T() > q.maxt }
	return slices.DeleteFunc(slices.Clone(samples), outside)
}

func matches(its labels.Labels, by []*labels.Matcher) bool {
	return !slices.ContainsFunc(by, func(m *labels.Matcher) bool { return !m.Matches(its.Get(m.Name)) })
}

// LabelValues implements storage.LabelQuerier. PromQL does not ask for it.
func (querier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.LabelQuerier. PromQL does not ask for it.
func (querier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (querier) Close() error { return nil }

type seriesSet struct {
	now  storage.Series
	rest []storage.Series
}

func (s *seriesSet) Next() bool {
	if len(s.rest) == 0 {
		return false
	}
	s.now, s.rest = s.rest[0], s.rest[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return s.now }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }

// sample is a number at a time.
type sample struct {
	atMs  int64
	value float64
}

func (s sample) T() int64                      { return s.atMs }
func (s sample) ST() int64                     { return 0 }
func (s sample) F() float64                    { return s.value }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }
