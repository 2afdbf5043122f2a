{{/* What is scraped, and how. Takes the values of a ServiceMonitor or PodMonitor. */}}
{{- define "rollcall.monitoring.endpoint" -}}
port: http
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if .honorLabels }}
honorLabels: true
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
A ServiceMonitor or PodMonitor. Takes a dict of
  root       .
  component  "controller" or "dns"
  kind       which of them
  endpoints  the field for what is scraped
  values     those of the ServiceMonitors or PodMonitors
*/}}
{{- define "rollcall.monitoring.monitor" -}}
{{- $values := .values -}}
apiVersion: monitoring.coreos.com/v1
kind: {{ .kind }}
metadata:
  {{- include "rollcall.metadata" (dict "root" .root "name" (printf "%s-%s" (include "rollcall.fullname" .root) .component) "component" .component "namespace" $values.namespace "labels" $values.additionalLabels "annotations" $values.annotations) | nindent 2 }}
spec:
  {{- with $values.jobLabel }}
  jobLabel: {{ . }}
  {{- end }}
  {{- if eq .kind "ServiceMonitor" }}
  {{- with $values.targetLabels }}
  targetLabels:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- end }}
  {{- with $values.podTargetLabels }}
  podTargetLabels:
  {{- toYaml . | nindent 2 }}
  {{- end }}
  namespaceSelector:
    matchNames:
    - {{ include "rollcall.namespace" .root }}
  selector:
    matchLabels:
      {{- include "rollcall.selectorLabels" (list .root .component) | nindent 6 }}
  {{ .endpoints }}:
  - {{ include "rollcall.monitoring.endpoint" $values | nindent 4 | trim }}
{{- end }}

{{/* What has metrics, as a YAML list. */}}
{{- define "rollcall.monitoring.components" -}}
- controller
{{- if .Values.dns.enabled }}
- dns
{{- end }}
{{- end }}
