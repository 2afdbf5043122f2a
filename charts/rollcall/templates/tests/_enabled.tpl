{{/*
Whether there is a test: it needs the DNS server, whose program it runs, and one of the Services that it answers for. With
named namespaces, of which the own is none, it answers for none that is known here.
*/}}
{{- define "rollcall.tests.enabled" -}}
{{- $namespaces := .Values.watchNamespaces }}
{{- if and .Values.tests.enabled .Values.dns.enabled (or (not $namespaces) (has (include "rollcall.namespace" .) $namespaces)) -}}
true
{{- end }}
{{- end }}
