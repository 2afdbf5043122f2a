package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Sends requests as a program behind an Envoy would.
func newHTTP(url string) (caller, error) {
	return func(ctx context.Context) (string, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return "", err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(io.LimitReader(answer.Body, 4096))
		if err != nil {
			return "", err
		}
		if answer.StatusCode != http.StatusOK {
			return "", fmt.Errorf("HTTP %d: %s", answer.StatusCode, strings.TrimSpace(string(body)))
		}
		return string(body), nil
	}, nil
}
