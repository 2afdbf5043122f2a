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
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What has metrics, as a YAML list. */}}
{{- define "rollcall.monitoring.components" -}}
- controller
{{- if .Values.dns.enabled }}
- dns
{{- end }}
{{- end }}
