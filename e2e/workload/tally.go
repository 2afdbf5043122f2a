package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"
)

// inFlightMax bounds the attempts under way. While so many are, none is begun: a machine that stalls loses nothing by
// that, and what is lost fails at its timeout.
const inFlightMax = 256

// samplesMax bounds the latencies that are kept, the latest ones.
const samplesMax = 65536

// tally counts attempts. Every line that it prints holds the whole since the start.
type tally struct {
	mutex sync.Mutex
	start time.Time
	begun int
	// The numbers of attempts that have not ended.
	underWay map[int]struct{}
	sent     int
	failed   map[string]int
	answers  map[string]int
	samples  []float64
	worst    float64
}

type report struct {
	Seconds float64        `json:"seconds"`
	Begun   int            `json:"begun"`
	Settled int            `json:"settled"`
	Sent    int            `json:"sent"`
	OK      int            `json:"ok"`
	Failed  int            `json:"failed"`
	Errors  map[string]int `json:"errors"`
	Answers map[string]int `json:"answers"`
	P50     float64        `json:"p50_ms"`
	P99     float64        `json:"p99_ms"`
	Max     float64        `json:"max_ms"`
}

// pace says how often something is attempted.
type pace struct {
	rate     *float64
	timeout  *time.Duration
	duration *time.Duration
}

func paceFlags(flags *flag.FlagSet) pace {
	return pace{
		rate:     flags.Float64("rate", 10, "attempts each second, whether or not earlier ones have ended, up to 256 of them"),
		timeout:  flags.Duration("timeout", 30*time.Second, "of one attempt; slow is not lost"),
		duration: flags.Duration("duration", 0, "how long it goes on; 0: until SIGTERM"),
	}
}

// loop attempts at the pace, reports each second, and once more at the end.
func (p pace) loop(attempt func(context.Context) (string, error)) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if *p.duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, *p.duration)
		defer cancel()
	}
	t := &tally{
		start: time.Now(), underWay: map[int]struct{}{}, failed: map[string]int{}, answers: map[string]int{},
	}
	slots := make(chan struct{}, inFlightMax)
	var attempts sync.WaitGroup
	next, reports := time.NewTicker(time.Duration(float64(time.Second) / *p.rate)), time.NewTicker(time.Second)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-reports.C:
			t.print()
		case <-next.C:
			select {
			case slots <- struct{}{}:
				number := t.begin()
				attempts.Go(func() {
					defer func() { <-slots }()
					p.once(t, number, attempt)
				})
			default:
			}
		}
	}
	attempts.Wait()
	t.print()
	return nil
}

func (p pace) once(t *tally, number int, attempt func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), *p.timeout)
	defer cancel()
	start := time.Now()
	answer, err := attempt(ctx)
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	t.end(number, answer, failure, time.Since(start))
}

func (t *tally) begin() int {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	number := t.begun
	t.underWay[number] = struct{}{}
	t.begun++
	return number
}

// settled is the number of attempts, counted from the first, of which none is under way any more: what was lost among
// them has been counted.
func (t *tally) settled() int {
	settled := t.begun
	for number := range t.underWay {
		settled = min(settled, number)
	}
	return settled
}

func (t *tally) end(number int, answer, failure string, took time.Duration) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.underWay, number)
	t.sent++
	if failure != "" {
		t.failed[failure]++
		return
	}
	t.answers[answer]++
	if len(t.samples) == samplesMax {
		t.samples = slices.Delete(t.samples, 0, samplesMax/2)
	}
	ms := float64(took.Microseconds()) / 1000
	t.samples, t.worst = append(t.samples, ms), max(t.worst, ms)
}

func (t *tally) print() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	sorted := slices.Sorted(slices.Values(t.samples))
	at := func(quantile float64) float64 {
		if len(sorted) == 0 {
			return 0
		}
		return sorted[int(quantile*float64(len(sorted)-1))]
	}
	failed := 0
	for _, count := range t.failed {
		failed += count
	}
	// One write: lines of several goroutines and pods do not mix.
	line, _ := json.Marshal(report{
		Seconds: time.Since(t.start).Seconds(), Begun: t.begun, Settled: t.settled(),
		Sent: t.sent, OK: t.sent - failed, Failed: failed, Errors: t.failed, Answers: t.answers, P50: at(0.5), P99: at(0.99), Max: t.worst,
	})
	os.Stdout.Write(append(line, '\n'))
}
