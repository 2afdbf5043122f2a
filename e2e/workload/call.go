package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const bodyMax = 1 << 20

// call calls a URL in a loop. An answer is counted by the first word of its body: who answered.
func call(args []string) error {
	flags := flag.NewFlagSet("call", flag.ExitOnError)
	p := paceFlags(flags)
	keepAlive := flags.Bool("keep-alive", false, "keep connections; without, each call resolves the name and connects anew")
	target, err := parseOne(flags, args, "URL")
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !*keepAlive, MaxIdleConnsPerHost: 16}}
	return p.loop(func(ctx context.Context) (string, error) {
		status, body, err := fetch(ctx, client, target, "")
		if err != nil {
			return "", err
		}
		if status != http.StatusOK {
			return "", fmt.Errorf("status %d", status)
		}
		who, _, _ := strings.Cut(strings.TrimSpace(body), " ")
		return who, nil
	})
}

// get calls a URL once. With --service-account it shows the pod's token and trusts the cluster's authority alone.
func get(args []string) error {
	flags := flag.NewFlagSet("get", flag.ExitOnError)
	timeout := flags.Duration("timeout", 30*time.Second, "of the whole")
	account := flags.Bool("service-account", false, "as this pod's ServiceAccount, by HTTPS")
	anyone := flags.Bool("trust-anyone", false, "whoever answers by HTTPS")
	target, err := parseOne(flags, args, "URL")
	if err != nil {
		return err
	}
	client, token := http.DefaultClient, ""
	if *account {
		if client, token, err = asServiceAccount(); err != nil {
			return err
		}
	}
	if *anyone {
		client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), *timeout)
	defer cancel()
	status, body, err := fetch(ctx, client, target, token)
	if err != nil {
		return err
	}
	fmt.Printf("%d\n%s", status, body)
	if status >= 400 {
		return fmt.Errorf("status %d", status)
	}
	return nil
}

func asServiceAccount() (*http.Client, string, error) {
	const dir = "/var/run/secrets/kubernetes.io/serviceaccount/"
	token, err := os.ReadFile(dir + "token")
	if err != nil {
		return nil, "", err
	}
	bundle, err := os.ReadFile(dir + "ca.crt")
	if err != nil {
		return nil, "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, "", errors.New(dir + "ca.crt holds no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}, string(token), nil
}

func fetch(ctx context.Context, client *http.Client, target, token string) (int, string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", plain(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, bodyMax))
	return response.StatusCode, string(body), plain(err)
}

// plain takes the ports of our side out of an error: equal faults are counted together.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var operation *net.OpError
	if errors.As(err, &operation) {
		return fmt.Errorf("%s %v: %w", operation.Op, operation.Addr, operation.Err)
	}
	return err
}

func parseOne(flags *flag.FlagSet, args []string, what string) (string, error) {
	if err := flags.Parse(args); err != nil {
		return "", err
	}
	if flags.NArg() != 1 {
		return "", fmt.Errorf("give one %s after the flags", what)
	}
	return flags.Arg(0), nil
}
