package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// asked is what was scraped, in the order of time, and what is asked of it at the time of the last page.
type asked struct {
	Pages []struct {
		AtMs        int64             `json:"at_ms"`
		Labels      map[string]string `json:"labels"`
		ContentType string            `json:"content_type"`
		Text        string            `json:"text"`
	} `json:"pages"`
	Queries []string `json:"queries"`
}

// answers fails with each query that has no answer, which is a number for at least one set of labels.
func answers(from io.Reader) error {
	var asked asked
	if err := json.NewDecoder(from).Decode(&asked); err != nil {
		return err
	}
	if len(asked.Pages) == 0 || len(asked.Queries) == 0 {
		return errors.New("no pages, or no queries")
	}
	stored, atMs := memory{}, int64(0)
	for _, page := range asked.Pages {
		atMs = max(atMs, page.AtMs)
		if err := stored.scrape([]byte(page.Text), page.ContentType, page.Labels, page.AtMs); err != nil {
			return fmt.Errorf("the page of %v: %w", page.Labels, err)
		}
	}
	engine, errs := newEngine(), []error{}
	for _, query := range asked.Queries {
		vector, err := ask(context.Background(), engine, stored, query, time.UnixMilli(atMs))
		answered := false
		for _, its := range vector {
			// A quantile of nothing is not a number.
			answered = answered || !math.IsNaN(its.F)
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", query, err))
		case !answered:
			errs = append(errs, fmt.Errorf("no answer: %s", query))
		}
	}
	return errors.Join(errs...)
}

// scrape stores a page with the labels of where it is from, as a server that scrapes does.
func (m memory) scrape(page []byte, contentType string, from map[string]string, atMs int64) error {
	parser, err := textparse.New(page, contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	if err != nil {
		return err
	}
	for {
		entry, err := parser.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case entry != textparse.EntrySeries:
			continue
		}
		var of labels.Labels
		parser.Labels(&of)
		_, _, value := parser.Series()
		builder := labels.NewBuilder(of)
		for name, value := range from {
			builder.Set(name, value)
		}
		m.add(builder.Labels(), atMs, value)
	}
}
